"""Names that the tables, the verdicts and the page share."""

from typing import Any

from lgtm.report.statistics import CORRELATION, SHARE, Range

WARMUP = "warmup"  # the arm's name for what precedes the arms
MAJORITY = "majority"  # the model that says the most frequent class of train whatever the text
DISTILLATION = "Student, distillation"  # the phase of the learning curves
SIZES = ("parameters", "megabytes")
NAMES = {"accuracy": "accuracy", "f1": "F1", "macro_f1": "macro F1", "matthews": "Matthews correlation"}
Metrics = dict[str, Any]


def range_of(metric: str) -> Range | None:
    """The range in which a metric lies: a correlation's, a share's, or none. `nll_mismatched` is as `nll`."""
    name = metric.split("_")[0]
    if name in ("nll", *SIZES):
        return None
    return CORRELATION if name == "matthews" else SHARE
