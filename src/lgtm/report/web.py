"""The report as one HTML file: nothing in it asks for another, and no text of a sample can run."""

import hashlib
from base64 import b64encode
from typing import Any

from markupsafe import Markup
from matplotlib.colors import to_hex

from lgtm.report import page, searched
from lgtm.report.drawing import styles_of
from lgtm.report.lineage import Step
from lgtm.report.names import WARMUP, Metrics
from lgtm.report.pictures import Picture
from lgtm.report.recommendation import WARM_STUDENT
from lgtm.report.text import show
from lgtm.report.verdicts import BETTER, WORSE, decisions


def web_page(
    said: dict[str, Any],
    metrics: Metrics,
    official: str,
    *,
    labels: list[str],
    rows: dict[str, int],
    pictures: dict[str, Picture],
    samples: searched.Table,
    tested: searched.Table,
    moved_by: str | None,
    lineage: list[list[Step]],
    made_with: dict[str, Any],
) -> str:
    """The page as HTML.

    said: of page.content; official: the metric; rows: how many of a role are taught; pictures: by figure; samples,
    tested: the tables to search; moved_by: the arm whose teacher is in `samples` beside the warm one; made_with: the
    environment of the networks, empty where they differ.
    """
    environment = page.environment()
    script = (page.TEMPLATES / "page.js").read_text(encoding="utf-8")
    return environment.get_template("page.html.j2").render(
        said,
        style=Markup((page.TEMPLATES / "page.css").read_text(encoding="utf-8")),
        script=Markup(script),
        # The browser runs this script, whatever else may have come into the page, and asks nobody for anything.
        policy=f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src '{_source(script)}'",
        labels=[searched.plain(label, searched.LONGEST_LABEL) for label in labels],
        rows=rows,
        pictures={
            name: one._replace(wide=Markup(one.wide), narrow=Markup(one.narrow)) for name, one in pictures.items()
        },
        main=main_table(metrics, official, said["descriptions"]),
        sizes_of={
            name: f"{values['parameters']['mean']:,.0f}" if "parameters" in values else None
            for name, values in (("teacher", metrics["teachers"][WARMUP]), ("student", metrics["warm_student"]))
        },
        samples=samples,
        tested=tested,
        moved_by=moved_by,
        lineage=lineage,
        made_with=made_with,
    )


def main_table(metrics: Metrics, official: str, descriptions: dict[str, str]) -> list[dict[str, Any]]:
    """A row per student: name, colour, what it learns from, the official metric, change, compute, whether it ships."""
    colours = {arm: to_hex(colour) for arm, (_, colour) in styles_of(metrics["arms"]).items()}
    from_warm = metrics["from_warm"] | {"environments": metrics["environments"]}
    said = decisions(from_warm, official)
    ship = metrics["recommendation"]["ship"]
    unchanged = {"change": "–", "verdict": ""}
    rows = [
        unchanged
        | {
            "name": "majority class",
            "colour": "var(--soft)",
            "what": "says the most frequent class, whatever the text",
            "value": f"{100 * metrics['majority'][official]:.1f}",
            "cost": "–",
            "ship": False,
        },
        unchanged
        | {
            "name": WARM_STUDENT,
            "colour": "var(--ink)",
            "what": "trained on the labels alone; every arm starts from it",
            "value": show(metrics["warm_student"][official], official),
            "cost": "0",
            "ship": ship == WARM_STUDENT,
        },
    ]
    for arm, values in metrics["arms"].items():
        decision = said[f"{arm}-{WARMUP}"]
        change = metrics["from_warm"]["differences"][f"{arm}-{WARMUP}"][official]
        rows.append(
            {
                "name": arm,
                "colour": colours[arm],
                "what": descriptions[arm],
                "value": show(values[official], official),
                "change": show(change, official, signed=True),
                "verdict": decision if decision in (BETTER, WORSE) else "",
                "cost": f"{metrics['cost'][arm]['compute']:.2f}",
                "ship": arm == ship,
            }
        )
    return rows


def _trusted(picture: Picture) -> Picture:
    """matplotlib writes the texts of a drawing escaped."""
    return picture._replace(wide=Markup(picture.wide), narrow=Markup(picture.narrow))


def _source(script: str) -> str:
    return f"sha256-{b64encode(hashlib.sha256(script.encode()).digest()).decode()}"
