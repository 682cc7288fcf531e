"""What a teacher said of the classes, in any of the usual forms, as logits."""

from collections.abc import Callable

import numpy as np

from lgtm.errors import UserError

# The logarithm of a probability of zero, in nats: at every temperature to about 60, float32 cannot tell it from zero.
FLOOR = -1000.0
TOLERANCE = 1e-3  # of a sum of probabilities, in which those of half precision are off by as much


def as_logits(
    values: np.ndarray, kind: str, partial: bool, classes: list[str], row: Callable[[int], str]
) -> np.ndarray:
    """Logits (N × C float32) of what a teacher gave every class (N × C float64, NaN where it gave nothing).

    kind: logits stay as they are; log_probabilities too; probabilities become their logarithms, zero becomes FLOOR.
    partial: a class may lack its value; what the others leave of 1 is then spread evenly over those that do. Where none
    does, it was something else than a class, and is left out: softmax makes the rest sum to 1. row: what messages call
    a row. Raises UserError, naming the first such row, for values missing, out of range or not finite,
    and for probabilities whose sum is further than TOLERANCE from 1.
    """

    def refuse(wrong: np.ndarray, why: Callable[[int, int], str]) -> None:
        if wrong.any():
            index, column = np.argwhere(wrong)[0]
            raise UserError(f"{row(index)}: {why(index, column)}")

    missing = np.isnan(values)
    if not partial:
        remedy = "" if kind == "logits" else ", or set top: true where the teacher gave only some"
        refuse(missing, lambda _, column: f"no value for the class {classes[column]!r}; give every class one{remedy}")
    refuse(missing.all(axis=1, keepdims=True), lambda *_: "no value for any class; give one, or leave the row out")
    if kind == "logits":
        with np.errstate(over="ignore"):
            logits = values.astype(np.float32)
        refuse(~np.isfinite(logits), lambda *at: f"the logit of {classes[at[1]]!r} is {values[at]:g}; make it finite")
        return logits

    log = kind == "log_probabilities"
    least, most = (-np.inf, 0.0) if log else (0.0, 1.0)
    right = "at most 0" if log else "from 0 to 1"
    refuse(
        (values < least) | (values > most + TOLERANCE),
        lambda *at: (
            f"the {'log-probability' if log else 'probability'} of {classes[at[1]]!r} is {values[at]:g}; "
            f"expected {right}, or set kind to what they are"
        ),
    )
    # NaN are the classes without a value.
    total = np.nansum(np.exp(values) if log else values, axis=1, keepdims=True)
    short = (total < 1 - TOLERANCE) & (not partial)
    refuse(
        short | (total > 1 + TOLERANCE),
        lambda index, _: (
            f"the probabilities sum to {total[index, 0]:.6g}; "
            f"expected {'at most ' if partial else ''}1, or set kind: logits, which softmax makes sum to 1"
        ),
    )
    with np.errstate(divide="ignore"):
        logs = values if log else np.log(values)
        rest = np.log((1 - total).clip(min=0) / missing.sum(axis=1, keepdims=True).clip(min=1))
    return np.where(missing, rest, logs).clip(min=FLOOR).astype(np.float32)


def label_logits(smoothing: float, num_classes: int) -> np.ndarray:
    """What every class's hard label says, one a row: C × C float32 log-probabilities, zero as FLOOR.

    smoothing: the part of the label's mass that is spread evenly over all classes, itself among them, as in
    torch.nn.functional.cross_entropy(label_smoothing=...).
    """
    probabilities = (1 - smoothing) * np.eye(num_classes) + smoothing / num_classes
    with np.errstate(divide="ignore"):
        return np.log(probabilities).clip(min=FLOOR).astype(np.float32)
