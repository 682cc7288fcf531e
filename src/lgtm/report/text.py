"""Figures and texts as markdown, and markdown as HTML."""

import html
import re
from collections.abc import Iterable

from markdown_it import MarkdownIt
from markupsafe import Markup

from lgtm.errors import visible
from lgtm.report.statistics import Interval

LONGEST_TEXT = 240


def show(value: Interval, metric: str = "", *, signed: bool = False, unit: str = "") -> str:
    """An interval as text, `74.0 [72.1, 75.9]`: nll in nats with three digits, everything else × 100."""
    scale, digits = (1, 3) if metric.startswith("nll") else (100, 1)

    def number(x: float) -> str:
        return format(scale * x, f"{'+' if signed else ''}z.{digits}f").replace("-", "−")

    if value["low"] is None:
        return f"{number(value['mean'])}{unit}"
    return f"{number(value['mean'])}{unit} [{number(value['low'])}, {number(value['high'])}]"


def show_margin(value: Interval) -> str:
    """A difference of fractions in percentage points, with half its interval: `+0.80 ± 1.10`."""
    mean = format(100 * value["mean"], "+z.2f").replace("-", "−")
    return mean if value["low"] is None else f"{mean} ± {100 * (value['high'] - value['mean']):.2f}"


def show_p(p: float) -> str:
    """A p value as text, with the two digits that count."""
    if p < 0.001:
        return "<0.001"
    return f"{p:.3f}" if p < 0.0995 else f"{p:.2f}"


def show_points(difference: Interval) -> str:
    """A difference of fractions as text: `+0.8 points [−0.1, +1.7]`."""
    return show(difference, signed=True, unit=" points")


def listed(texts: Iterable[str]) -> str:
    """Texts, one at least, as a sentence has them: `a, b and c`."""
    *first, last = texts
    return f"{', '.join(first)} and {last}" if first else last


def escape(text: str) -> str:
    """A text as it stands, on one line, inside a markdown table; cut when it is long."""
    text = visible(" ".join(text.split()))
    if len(text) > LONGEST_TEXT:
        text = text[: LONGEST_TEXT - 1] + "…"
    return re.sub(r"([\\`*_\[\]|~$])", r"\\\1", html.escape(text, quote=False))


def markdown_table(header: list[str], rows: list[list[str]]) -> str:
    """A markdown table, its first column to the left and the others to the right."""
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def to_html(text: str, *, inline: bool = False) -> Markup:
    """Markdown as HTML, any HTML in it as text; a wide table scrolls by itself, by keyboard too.

    inline: of a sentence, without a paragraph around it.
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table").disable(["image", "link", "autolink"])
    region = '<div class="scroll" role="region" aria-label="table" tabindex="0">'
    parser.add_render_rule("table_open", lambda *_: f"{region}<table>")
    parser.add_render_rule("table_close", lambda *_: "</table></div>")
    return Markup(parser.renderInline(text) if inline else parser.render(text))
