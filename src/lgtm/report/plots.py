"""The figures of the arms. Every function takes tables and returns a figure; nothing here has global state.

Metrics come as fractions; axes show them in percent.
"""

import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lgtm.report.drawing import (
    BLACK,
    GREY,
    STYLE,
    WIDTH,
    caption,
    count,
    draw_row,
    meaning,
    percent,
    row_figure,
    styles_of,
)
from lgtm.report.names import DISTILLATION, NAMES, WARMUP, range_of
from lgtm.report.statistics import Interval, interval, paired_difference

MOST_BARS = 6  # lines with bars in a panel; more hide each other
VERDICTS = (
    "Right of zero the first arm is better. Bars are not corrected for the number of comparisons, verdicts are.\n"
    "Filled: the verdict names a winner. Hollow: it does not, even where the bar is clear of zero."
)


@rc_context(STYLE)
def arms_figure(students: pd.DataFrame, teacher: pd.Series, majority: float, metric: str, part: str) -> Figure:
    """Students by arm, between the majority class and the warmed-up teacher.

    students: the metric on this part of the test, seeds × arms, the warm student (WARMUP) among them; teacher: by seed;
    majority: the metric of the class that is most frequent in train.
    """
    figure, axes = row_figure("Students by arm", [_name(arm) for arm in students])
    reference = interval(teacher, range_of(metric))
    axes.axvline(reference["mean"], color=GREY, linewidth=1.2, label="warmed-up teacher, mean")
    if reference["low"] is not None:
        band = "its 95 % interval"
        axes.axvspan(reference["low"], reference["high"], color=GREY, alpha=0.12, linewidth=0, label=band)
    for row, (arm, (_, colour)) in enumerate(_styles(students).items()):
        draw_row(axes, row, students[arm], interval(students[arm], range_of(metric)), colour)
    axes.axvline(students[WARMUP].mean(), color=BLACK, linestyle=":", linewidth=1.2, label="warm student, mean")
    _draw_majority(axes, "x", majority)
    axes.set_xlabel(f"{NAMES[metric]} on {part}, %")
    percent(axes.xaxis)
    figure.legend(loc="outside upper right", ncols=2)
    caption(figure, f"{meaning(len(students))}\nDifferences are paired by seed: arms whose bars overlap may differ.")
    return figure


def _draw_majority(axes: Axes, side: str, majority: float) -> None:
    """A dashed line at the majority class; at the edge where it is so far below that the rest would be pressed.

    side: the axis of the metric, x or y.
    """
    line = axes.axvline if side == "x" else axes.axhline
    low, high = getattr(axes, f"get_{side}lim")()
    span = high - low
    label = f"majority class, {100 * majority:.1f}"
    if majority < low - span:
        getattr(axes, f"set_{side}lim")(low - 0.04 * span, high)
        majority, label = low - 0.02 * span, f"{label}: {'left of' if side == 'x' else 'below'} the scale"
    line(majority, color=BLACK, linestyle="--", linewidth=1.2, label=label)


@rc_context(STYLE)
def differences_figure(
    students: pd.DataFrame, pairs: list[tuple[str, str]], settled: list[bool], metric: str, part: str
) -> Figure:
    """Differences a − b between arms, paired by seed.

    students: as in arms_figure; settled: by pair, whether the verdict names a winner.
    """
    names = [f"{_name(a)} − {_name(b)}" for a, b in pairs]
    figure, axes = row_figure("Differences between students, paired by seed", names)
    axes.axvline(0, color=BLACK, linewidth=1)
    styles = _styles(students)
    for row, ((a, b), filled) in enumerate(zip(pairs, settled, strict=True)):
        difference = paired_difference(students[a], students[b])
        draw_row(axes, row, students[a] - students[b], difference, styles[a][1], filled=filled)
        if row and b != pairs[row - 1][1]:
            axes.axhline(row - 0.5, color="0.8", linewidth=0.8)
    axes.set_xlabel(f"difference in {NAMES[metric]} on {part}, percentage points")
    percent(axes.xaxis)
    caption(figure, f"{meaning(len(students))}\n{VERDICTS}")
    return figure


def _name(arm: str) -> str:
    return "warm student" if arm == WARMUP else arm


def _styles(students: pd.DataFrame) -> dict[str, tuple]:
    """Line and colour of every student; the warm one, which is of no arm, is black."""
    return {WARMUP: ("-", BLACK)} | styles_of([arm for arm in students if arm != WARMUP])


@rc_context(STYLE)
def curves_figure(curves: pd.DataFrame, arms: list[str], metric: str) -> Figure:
    """Learning curves: a panel per phase, in the table's order, and a line per arm.

    curves: phase, arm, seed, step (optimizer steps) and value (the metric on selection). What precedes the arms carries
    a name that is not in `arms`.
    """
    phases = list(curves["phase"].unique())
    rows = -(-len(phases) // 2)
    figure = Figure(figsize=(WIDTH, 0.8 + 2.3 * rows), layout="constrained")
    figure.suptitle("Learning curves", x=0.01, ha="left", fontweight="bold")
    figure.supylabel(f"{NAMES[metric]} on selection, %", fontsize=9)
    panels = iter(figure.subplots(rows, 2, squeeze=False).flat)
    styles = styles_of(arms)
    for phase, axes in zip(phases, panels, strict=False):
        drawn = curves[curves["phase"] == phase]
        number, last = drawn["arm"].nunique(), drawn["step"].max()
        for place, (arm, lines) in enumerate(drawn.groupby("arm", sort=False)):
            values = lines.groupby("step")["value"].agg(["mean", "min", "max"])
            line, colour = styles.get(arm, ("-", BLACK))
            # Arms that agree would hide each other.
            step = values.index + last / (15 * number) * (place - (number - 1) / 2)
            axes.plot(step, values["mean"], line, marker="o", markersize=3, linewidth=1.3, color=colour, label=arm)
            if number <= MOST_BARS:
                axes.vlines(step, values["min"], values["max"], color=colour, alpha=0.4, linewidth=1.3)
        if phase == DISTILLATION:  # which starts from the warm student
            start = drawn.loc[drawn["step"] == drawn["step"].min(), "value"].mean()
            axes.axhline(start, color=BLACK, linestyle=":", linewidth=1.2)
        axes.set(title=phase, xlabel="optimizer steps", xlim=(-0.07 * last, 1.07 * last))
        percent(axes.yaxis)
    for axes in panels:
        axes.set_axis_off()
    handles = [Line2D([], [], linestyle=line, color=colour, label=arm) for arm, (line, colour) in styles.items()]
    handles.append(Line2D([], [], linestyle=":", color=BLACK, label="warm student, mean"))
    figure.legend(handles=handles, loc="outside upper right", ncols=3)
    caption(
        figure,
        f"Line: mean over {count(curves['seed'])}. Bar (up to {MOST_BARS} lines): lowest to highest. Arms of a panel"
        " stand a little apart.\nEvery panel has its own scale.",
    )
    return figure


@rc_context(STYLE)
def rounds_figure(
    rounds: pd.DataFrame, arms: list[str], warm: Interval, majority: float, metric: str, part: str
) -> Figure:
    """Students by round, a line per arm with its interval over seeds, from the warm student and the majority class on.

    rounds: arm, seed, round, value (the metric on this part of the test); arms: all that are listed.
    """
    figure = Figure(figsize=(WIDTH, 3.6), layout="constrained")
    figure.suptitle("Students by round", x=0.01, ha="left", fontweight="bold")
    axes = figure.subplots()
    styles = styles_of(arms)
    arms = [arm for arm in arms if arm in set(rounds["arm"])]
    for place, arm in enumerate(arms):
        line, colour = styles[arm]
        values = rounds[rounds["arm"] == arm].groupby("round")["value"].apply(interval, range_of(metric)).unstack()
        x = values.index + 0.06 * (place - (len(arms) - 1) / 2)
        axes.plot(x, values["mean"], line, marker="o", markersize=7, color=colour, label=arm)
        single = rounds[rounds["arm"] == arm]
        axes.plot(x[single["round"] - 1], single["value"], "o", markersize=3, color=colour, alpha=0.5)
        axes.vlines(x, values["low"].astype(float), values["high"].astype(float), color=colour, linewidth=2, alpha=0.6)
    axes.axhline(warm["mean"], color=BLACK, linestyle=":", linewidth=1.2, label="warm student, mean")
    if warm["low"] is not None:
        axes.axhspan(warm["low"], warm["high"], color=BLACK, alpha=0.08, linewidth=0, label="its 95 % interval")
    _draw_majority(axes, "y", majority)
    axes.set(xlabel="round", ylabel=f"{NAMES[metric]} on {part}, %", xticks=sorted(rounds["round"].unique()))
    percent(axes.yaxis)
    figure.legend(loc="outside upper right", ncols=2)
    caption(figure, f"{meaning(rounds['seed'].nunique())}\nBars are not corrected for the number of comparisons.")
    return figure
