"""The report's figures. Every function takes tables and returns a figure; nothing here has global state.

Metrics come as fractions; axes show them in percent.

Colours are Okabe and Ito's, which colour-blind readers can tell apart. An arm has the same colour in all figures.
"""

from io import BytesIO
from itertools import cycle, product

import numpy as np
import pandas as pd
from matplotlib import color_sequences, rc_context
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lgtm.report.names import NAMES, range_of
from lgtm.report.statistics import Interval, interval, paired_difference

BLACK, ORANGE, SKY, GREEN, _, BLUE, VERMILION, PURPLE = color_sequences["okabe_ito"]
GREY = "0.35"
# After six arms the colours come again, with another line.
ARM_STYLES = list(product(("-", "--", ":"), (GREEN, BLUE, ORANGE, VERMILION, PURPLE, SKY)))
STYLE = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "0.9",
    "legend.frameon": False,
}
WIDTH = 7.5
BINS = 61
MOST_BARS = 6  # lines with bars in a panel; more hide each other
VERDICTS = (
    "Right of zero the first arm is better. Bars are not corrected for the number of comparisons, verdicts are.\n"
    "Filled: the verdict names a winner. Hollow: it does not, even where the bar is clear of zero."
)


def png(figure: Figure) -> bytes:
    """A figure as PNG at 150 dots per inch; the same figure gives the same bytes."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=150, metadata={"Software": None})
    return buffer.getvalue()


@rc_context(STYLE)
def arms_figure(students: pd.DataFrame, teacher: pd.Series, metric: str, part: str) -> Figure:
    """Students by arm, against the warmed-up teacher.

    students: the metric on this part of the test, seeds × arms; teacher: by seed.
    """
    figure, axes = _rows("Students by arm", list(students))
    reference = interval(teacher, range_of(metric))
    axes.axvline(reference["mean"], color=GREY, linestyle="--", linewidth=1.2, label="warmed-up teacher, mean")
    if reference["low"] is not None:
        band = "its 95 % interval"
        axes.axvspan(reference["low"], reference["high"], color=GREY, alpha=0.12, linewidth=0, label=band)
    for row, (arm, (_, colour)) in enumerate(_styles(students).items()):
        _draw_row(axes, row, students[arm], interval(students[arm], range_of(metric)), colour)
    axes.set_xlabel(f"{NAMES[metric]} on {part}, %")
    _percent(axes.xaxis)
    figure.legend(loc="outside upper right", ncols=2)
    _caption(figure, f"{_meaning(len(students))}\nDifferences are paired by seed: arms whose bars overlap may differ.")
    return figure


@rc_context(STYLE)
def differences_figure(
    students: pd.DataFrame, pairs: list[tuple[str, str]], settled: list[bool], metric: str, part: str
) -> Figure:
    """Differences a − b between arms, paired by seed.

    students: as in arms_figure; settled: by pair, whether the verdict names a winner.
    """
    figure, axes = _rows("Differences between arms, paired by seed", [f"{a} − {b}" for a, b in pairs])
    axes.axvline(0, color=BLACK, linewidth=1)
    styles = _styles(students)
    for row, ((a, b), filled) in enumerate(zip(pairs, settled, strict=True)):
        difference = paired_difference(students[a], students[b])
        _draw_row(axes, row, students[a] - students[b], difference, styles[a][1], filled=filled)
        if row and b != pairs[row - 1][1]:
            axes.axhline(row - 0.5, color="0.8", linewidth=0.8)
    axes.set_xlabel(f"difference in {NAMES[metric]} on {part}, percentage points")
    _percent(axes.xaxis)
    _caption(figure, f"{_meaning(len(students))}\n{VERDICTS}")
    return figure


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
    styles = _styles(arms)
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
        axes.set(title=phase, xlabel="optimizer steps", xlim=(0, 1.07 * last))
        _percent(axes.yaxis)
    for axes in panels:
        axes.set_axis_off()
    handles = [Line2D([], [], linestyle=line, color=colour, label=arm) for arm, (line, colour) in styles.items()]
    figure.legend(handles=handles, loc="outside upper right", ncols=4)
    _caption(
        figure,
        f"Line: mean over {_count(curves['seed'])}. Bar (up to {MOST_BARS} lines): lowest to highest. Arms of a panel"
        " stand a little apart.\nEvery panel has its own scale.",
    )
    return figure


@rc_context(STYLE)
def rounds_figure(rounds: pd.DataFrame, metric: str, part: str) -> Figure:
    """Students by round, a line per arm with its interval over seeds.

    rounds: arm, seed, round, value (the metric on this part of the test).
    """
    figure = Figure(figsize=(WIDTH, 3.2), layout="constrained")
    figure.suptitle("Students by round", x=0.01, ha="left", fontweight="bold")
    axes = figure.subplots()
    arms = list(rounds["arm"].unique())
    for place, (arm, (line, colour)) in enumerate(_styles(arms).items()):
        values = rounds[rounds["arm"] == arm].groupby("round")["value"].apply(interval, range_of(metric)).unstack()
        x = values.index + 0.06 * (place - (len(arms) - 1) / 2)
        axes.plot(x, values["mean"], line, marker="o", markersize=7, color=colour, label=arm)
        single = rounds[rounds["arm"] == arm]
        axes.plot(x[single["round"] - 1], single["value"], "o", markersize=3, color=colour, alpha=0.5)
        axes.vlines(x, values["low"].astype(float), values["high"].astype(float), color=colour, linewidth=2, alpha=0.6)
    axes.set(xlabel="round", ylabel=f"{NAMES[metric]} on {part}, %", xticks=sorted(rounds["round"].unique()))
    _percent(axes.yaxis)
    figure.legend(loc="outside upper right", ncols=4)
    _caption(figure, f"{_meaning(rounds['seed'].nunique())}\nBars are not corrected for the number of comparisons.")
    return figure


@rc_context(STYLE)
def influence_figure(scores: pd.DataFrame) -> Figure:
    """Distribution of the influence over train, under the warm teacher and under the label, flips apart.

    scores: seed, sample_id, influence, influence_label, planted (whether the label is a planted flip).
    """
    figure = Figure(figsize=(WIDTH, 3.2), layout="constrained")
    figure.suptitle("Distillation influence", x=0.01, ha="left", fontweight="bold")
    figure.supylabel("share of the group, %", fontsize=9)
    groups = {"labels as given": ~scores["planted"], "planted flips": scores["planted"]}
    panels = {"influence": "Under the warmed-up teacher", "influence_label": "Under the label"}
    for axes, (column, title) in zip(figure.subplots(1, 2), panels.items(), strict=True):
        # Zero stands in the figure.
        low, high = np.percentile([*scores[column], 0], [0.5, 99.5])
        for (name, rows), colour in zip(groups.items(), (BLUE, VERMILION), strict=True):
            if rows.any():
                values = scores.loc[rows, column].clip(low, high)
                label = f"{name} ({scores.loc[rows, 'sample_id'].nunique():,} samples)"
                share = np.full(len(values), 100 / len(values))
                bins = np.linspace(low, high, BINS)
                axes.hist(values, bins, weights=share, histtype="stepfilled", color=colour, alpha=0.35)
                axes.hist(values, bins, weights=share, histtype="step", color=colour, label=label)
                axes.axvline(scores.loc[rows, column].mean(), color=colour, linestyle="--", linewidth=1.2)
        axes.axvline(0, color=BLACK, linewidth=1)
        axes.set(title=title, xlabel="← hurts    influence (nats per unit step)    helps →")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper right", ncols=2)
    _caption(
        figure,
        f"Pooled over {_count(scores['seed'])}. Dashed: group means. The end bins hold all beyond them (0.5 %).",
    )
    return figure


@rc_context(STYLE)
def validation_figure(changes: pd.DataFrame, subsets: pd.DataFrame) -> Figure:
    """Students that were retrained without a part of train, and on random subsets of it; either may have no rows.

    changes: seed, dropped, fraction (of train) and change (of the held-out loss, nats); subsets: seed, influence (the
    sum of a subset's) and loss (held-out, nats).
    """
    panels = [(_draw_removals, changes), (_draw_subsets, subsets)]
    panels = [(draw, table) for draw, table in panels if len(table)]
    figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
    figure.suptitle("Retrained students", x=0.01, ha="left", fontweight="bold")
    for axes, (draw, table) in zip(figure.subplots(1, len(panels), squeeze=False).flat, panels, strict=True):
        draw(axes, table)
    unit = "; influence in nats per unit step" if len(subsets) else ""
    _caption(
        figure,
        f"{_count(pd.concat([table['seed'] for _, table in panels]))}; loss on the selection role, of the warm student"
        f" distilled further{unit}.\nBars: 95 % Student-t intervals over seeds. Small dots: single seeds.",
    )
    return figure


def _draw_removals(axes: Axes, changes: pd.DataFrame) -> None:
    axes.axhline(0, color=BLACK, linewidth=1)
    aside = 100 * changes["fraction"].max() / 60
    styles = zip((VERMILION, GREY, GREEN), (-aside, 0, aside), strict=True)
    for (dropped, part), (colour, shift) in zip(changes.groupby("dropped", sort=False), styles, strict=True):
        by_fraction = part.groupby("fraction")["change"]
        means = by_fraction.mean()
        places = 100 * means.index + shift
        axes.plot([0, *places], [0, *means], "-o", markersize=5, linewidth=1.3, color=colour, label=dropped)
        for x, (_, values) in zip(places, by_fraction, strict=True):
            over_seeds = interval(values)
            if over_seeds["low"] is not None:
                axes.vlines(x, over_seeds["low"], over_seeds["high"], color=colour, linewidth=2)
            axes.plot(np.full(len(values), x), values, "o", markersize=3, color=colour, alpha=0.5)
    axes.set(
        title="After dropping a part of train", xlabel="dropped, % of train", ylabel="change of held-out loss, nats"
    )
    axes.legend(loc="upper left")


def _draw_subsets(axes: Axes, subsets: pd.DataFrame) -> None:
    by_seed = subsets.groupby("seed")[["influence", "loss"]]
    # Seeds differ in the level of both, which no subset of theirs can change.
    centred = subsets[["influence", "loss"]] - by_seed.transform("mean")
    for marker, (_, rows) in zip(cycle("os^Dv"), subsets.groupby("seed"), strict=False):
        points = centred.loc[rows.index]
        axes.plot(points["influence"], points["loss"], marker, markersize=4, color=BLUE, alpha=0.5, markeredgewidth=0)
    axes.set(
        title="On random subsets of train, a mark per seed",
        xlabel="summed influence, from its mean",
        ylabel="held-out loss, from its mean, nats",
    )


def _rows(title: str, names: list[str]) -> tuple[Figure, Axes]:
    """A figure with a row per name, the first one on top."""
    figure = Figure(figsize=(WIDTH, 1.4 + 0.42 * len(names)), layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
    axes = figure.subplots()
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(False, axis="y")
    axes.tick_params(axis="y", length=0)
    return figure, axes


def _draw_row(axes: Axes, row: int, values: pd.Series, over_seeds: Interval, colour, *, filled: bool = True) -> None:
    axes.plot(values, np.full(len(values), row + 0.22), "o", markersize=4, color=colour, alpha=0.5, markeredgewidth=0)
    if over_seeds["low"] is not None:
        axes.hlines(row, over_seeds["low"], over_seeds["high"], color=colour, linewidth=2)
    face = colour if filled else "white"
    axes.plot(over_seeds["mean"], row, "o", markersize=8, color=colour, markerfacecolor=face, markeredgewidth=1.5)


def _percent(axis: Axis) -> None:
    """Show the fractions along an axis in percent."""
    axis.set_major_formatter(lambda fraction, _: f"{round(100 * fraction, 6):zg}".replace("-", "−"))


def _styles(arms) -> dict[str, tuple]:
    """Line and colour of every arm."""
    return dict(zip(arms, cycle(ARM_STYLES), strict=False))


def _meaning(seeds: int) -> str:
    if seeds == 1:
        return "One seed: no interval."
    return f"Large dot: mean over {seeds} seeds. Bar: 95 % Student-t interval over seeds. Small dots: single seeds."


def _count(seeds: pd.Series) -> str:
    number = seeds.nunique()
    return f"{number} seed{'s' if number > 1 else ''}"


def _caption(figure: Figure, text: str) -> None:
    # The one text at the bottom that the constrained layout makes room for.
    figure.supxlabel(text, x=0.01, ha="left", fontsize=8, color=GREY)
