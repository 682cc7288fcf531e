"""Two runs on the screen, and as a page of its own: the same tables."""

from pathlib import Path
from typing import NamedTuple

import jinja2

from lgtm.compare.screen import console, print_table
from lgtm.compare.two import Comparison, require_arm
from lgtm.errors import visible
from lgtm.handover import writing
from lgtm.report.names import NAMES, WARMUP
from lgtm.report.text import show

TEMPLATES = Path(__file__).parent / "templates"
ON_SCREEN, ON_PAGE = 10, 1000  # samples
TEXT = 240  # letters of a sample on the screen
SHORT = ("nll",)  # metrics that the screen shows beside the task's own


class Part(NamedTuple):
    """A titled table."""

    title: str
    header: list[str]
    rows: list[list[str]]


def print_comparison(comparison: Comparison, arm: str | None) -> None:
    """Print what differs. arm: whose samples are listed, None for the last with some."""
    to = console()
    for part in parts(comparison, require_arm(comparison, arm), ON_SCREEN, brief=True):
        to.print(visible(part.title), style="bold", markup=False)
        if part.rows:
            print_table(part.header, part.rows, to)
    for note in comparison.notes:
        to.print(f"note: {visible(note)}", markup=False)


def write_page(comparison: Comparison, arm: str | None, path: Path) -> None:
    """Write the comparison as a self-contained HTML page. Raises UserError where it cannot be written."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    page = environment.get_template("two.html.j2").render(
        a=comparison.a,
        b=comparison.b,
        parts=parts(comparison, require_arm(comparison, arm), ON_PAGE, brief=False),
        notes=comparison.notes,
    )
    with writing(path):
        path.write_text(page, encoding="utf-8")


def parts(comparison: Comparison, arm: str | None, shown: int, *, brief: bool) -> list[Part]:
    """The tables of a comparison; shown: samples at most. brief: the task's metrics and NLL alone, texts cut."""
    found = [_settings(comparison)]
    if comparison.figures:
        rows = [list(row) for row in comparison.figures]
        found.append(Part("Figures of reports/summary.json, not paired", ["", comparison.a, comparison.b], rows))
    if comparison.metrics:
        found.append(_metrics(comparison, brief))
    if not comparison.changed.empty:
        found.append(_changed(comparison))
    if arm is not None:
        found.append(_samples(comparison, arm, shown, brief))
    return found


def _settings(comparison: Comparison) -> Part:
    rows = [list(row) for row in comparison.settings]
    rows += [[path, "", "other bytes"] for path in comparison.inputs]
    title = (
        "Settings, code and data that differ" if rows else "No setting differs, nor code or data that dvc.lock knows"
    )
    return Part(title, ["", comparison.a, comparison.b], rows)


def _metrics(comparison: Comparison, brief: bool) -> Part:
    rows = []
    for arm, metric, a, b, paired in comparison.metrics:
        if brief and metric not in (*NAMES, *SHORT):
            continue
        difference = show(paired, metric, signed=True) if paired else "–"
        rows.append([_arm(arm), NAMES.get(metric, metric), show(a, metric), show(b, metric), difference])
    title = f"Students on the test: mean [95 % interval] over seeds, in %, NLL in nats; difference {comparison.b} −"
    title += f" {comparison.a}, paired by seed"
    seeds = ", ".join(map(str, comparison.seeds))
    title += f" ({seeds})" if seeds else ": none in both"
    return Part(title, ["student", "metric", comparison.a, comparison.b, "difference"], rows)


def _changed(comparison: Comparison) -> Part:
    rows = []
    for row in comparison.changed.to_dict("records"):
        counts = [f"{row[name]:.1f}" for name in ("changed", "mended", "broken")]
        rows.append([_arm(row["arm"]), f"{row['rows']:,}", *counts])
    title = "Test rows of which another class is said, mean over seeds"
    return Part(title, ["student", "rows", "changed", "wrong to right", "right to wrong"], rows)


def _samples(comparison: Comparison, arm: str, shown: int, brief: bool) -> Part:
    own = comparison.samples[comparison.samples["arm"] == arm]
    rows = []
    for row in own.head(shown).to_dict("records"):
        classes = [str(row[name]) for name in ("label", "a", "b")]
        text = _cut(row["text"]) if brief else row["text"]
        rows.append([row["sample_id"], f"{row['changed']} of {row['of']}", *classes, text])
    of = f"the first {shown:,} of {len(own):,}" if len(own) > shown else f"{len(own):,}"
    title = f"Samples whose prediction changed, student {_arm(arm)}: {of}; the class that most seeds say"
    return Part(title, ["sample", "seeds", "label", comparison.a, comparison.b, "text"], rows)


def _arm(arm: str) -> str:
    return "warm student" if arm == WARMUP else arm


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= TEXT else text[: TEXT - 1] + "…"
