"""Names that the tables, the verdicts and the page share."""

from typing import Any

WARMUP = "warmup"  # the arm's name for what precedes the arms
DISTILLATION = "Student, distillation"  # the phase of the learning curves
SIZES = ("parameters", "megabytes")
NAMES = {"accuracy": "accuracy", "f1": "F1", "macro_f1": "macro F1", "matthews": "Matthews correlation"}
Metrics = dict[str, Any]
