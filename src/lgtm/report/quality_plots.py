"""The figures beside the arms': what quality costs, whether confidence can be believed, what is taken for what."""

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure

from lgtm.errors import visible
from lgtm.report.drawing import BLACK, GREY, STYLE, WIDTH, caption, percent, styles_of
from lgtm.report.names import NAMES, WARMUP
from lgtm.report.statistics import Interval

FEWEST_ROWS = 20  # of a bin that is drawn, over all seeds: fewer say nothing
LARGEST_MATRIX = 12  # classes; more names than that cannot be read
LONGEST_NAME = 14


@rc_context(STYLE)
def cost_figure(
    students: dict[str, Interval], warm: Interval, teacher: float, compute: dict[str, float], unit: str, metric: str
) -> Figure:
    """The official metric of every arm against its compute after the warm-ups, and the warm student's at none.

    students, compute: by arm; teacher: the warm one's mean; unit: in which compute is counted, in words.
    """
    figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
    figure.suptitle("Cost beside quality", x=0.01, ha="left", fontweight="bold")
    axes = figure.subplots()
    styles = {WARMUP: ("-", BLACK)} | styles_of(students)
    places = {WARMUP: 0.0} | compute
    for (arm, value), marker in zip(({WARMUP: warm} | students).items(), "osD^vPX" * len(styles), strict=False):
        colour, x = styles[arm][1], places[arm]
        name = "warm student" if arm == WARMUP else arm
        if value["low"] is not None:
            axes.vlines(x, value["low"], value["high"], color=colour, linewidth=2, alpha=0.7)
        axes.plot(x, value["mean"], marker, markersize=8, color=colour, label=name, linestyle="none")
    axes.axhline(teacher, color=GREY, linewidth=1.2, label="warmed-up teacher, mean")
    axes.set(xlabel=f"compute after the warm-ups, {unit}", ylabel=f"{NAMES[metric]}, %")
    axes.set_xlim(left=-0.04 * max(places.values()))
    percent(axes.yaxis)
    figure.legend(loc="outside upper right", ncols=3)
    caption(figure, "Bar: 95 % interval over seeds. Further up is better, further left is cheaper.")
    return figure


@rc_context(STYLE)
def calibration_figure(reliable: pd.DataFrame, arms: list[str]) -> Figure:
    """How often students are right, against how sure they are; reliable: of calibration.reliability, WARMUP with it."""
    figure = Figure(figsize=(WIDTH, 4.2), layout="constrained")
    figure.suptitle("Calibration", x=0.01, ha="left", fontweight="bold")
    axes = figure.subplots()
    axes.axline((0, 0), slope=1, color=GREY, linewidth=1.2, label="as sure as right")
    for arm, (line, colour) in ({WARMUP: (":", BLACK)} | styles_of(arms)).items():
        own = reliable[(reliable["arm"] == arm) & (reliable["rows"] >= FEWEST_ROWS)]
        name = "warm student" if arm == WARMUP else arm
        axes.plot(
            own["confidence"], own["right"], line, marker="o", markersize=4, linewidth=1.3, color=colour, label=name
        )
    low = reliable["confidence"].min()
    axes.set_ylim(bottom=min(low, reliable.loc[reliable["rows"] >= FEWEST_ROWS, "right"].min()) - 0.03)
    axes.set(xlabel="confidence, %", ylabel="right answers, %", xlim=(max(low - 0.03, 0), 1.01))
    percent(axes.xaxis)
    percent(axes.yaxis)
    figure.legend(loc="outside upper right", ncols=3)
    caption(
        figure,
        f"A dot: test rows of like confidence, pooled over seeds ({FEWEST_ROWS} at least). Below the line a student is"
        " surer than it is right.",
    )
    return figure


@rc_context(STYLE)
def confusion_figure(matrices: dict[str, np.ndarray], labels: list[str]) -> Figure:
    """What each class of the test is taken for: a panel per student; matrices: by its name, of classes.matrix."""
    names = [_short(label) for label in labels]
    figure = Figure(figsize=(WIDTH, 1.2 + 0.32 * len(labels) + 1.2), layout="constrained")
    figure.suptitle("What is taken for what", x=0.01, ha="left", fontweight="bold")
    figure.supylabel("class", fontsize=9)
    panels = figure.subplots(1, len(matrices), squeeze=False).flat
    for axes, (name, shares) in zip(panels, matrices.items(), strict=True):
        axes.pcolormesh(np.nan_to_num(shares), cmap="Blues", vmin=0, vmax=1)
        for (row, column), share in np.ndenumerate(shares):
            if share >= 0.005:
                # Own greys: these stand on the cell's blue, whatever the page's paper.
                axes.text(
                    column + 0.5, row + 0.5, f"{100 * share:.0f}", ha="center", va="center", fontsize=8,
                    color="#fefefe" if share > 0.5 else "#111111",
                )  # fmt: skip
        axes.set_xticks(np.arange(len(names)) + 0.5, names, rotation=40, ha="right")
        axes.set_yticks(np.arange(len(names)) + 0.5, names)
        axes.invert_yaxis()
        axes.set_aspect("equal")
        axes.set(title=name, xlabel="predicted")
        axes.grid(False)
    caption(figure, "Percent of the class's test rows, pooled over seeds; on the diagonal, right answers.")
    return figure


def _short(label: str) -> str:
    text = visible(label)
    return text if len(text) <= LONGEST_NAME else text[: LONGEST_NAME - 1] + "…"
