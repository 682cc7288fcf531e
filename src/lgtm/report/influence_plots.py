"""The figures of the influence: its distribution, and the students that validation retrained."""

from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lgtm.report.drawing import BLACK, BLUE, GREEN, GREY, STYLE, VERMILION, WIDTH, caption, count
from lgtm.report.statistics import interval

BINS = 61


@rc_context(STYLE)
def influence_figure(scores: pd.DataFrame) -> Figure:
    """Distribution of the influence over train, flips apart, and transfer, under the warm teacher and under the label.

    scores: seed, influence, influence_label, role, planted (whether the label is a planted flip); a row per sample and
    seed. What has no label does not stand under the label.
    """
    figure = Figure(figsize=(WIDTH, 3.2), layout="constrained")
    figure.suptitle("Distillation influence", x=0.01, ha="left", fontweight="bold")
    figure.supylabel("share of the group, %", fontsize=9)
    train, seeds = scores["role"] == "train", scores["seed"].nunique()
    labelled = {
        "train, labels as given": (train & ~scores["planted"], BLUE),
        "train, planted flips": (train & scores["planted"], VERMILION),
    }
    panels = {
        "influence": ("Under the warmed-up teacher", labelled | {"transfer": (~train, GREEN)}),
        "influence_label": ("Under the label", labelled),
    }
    subplots = figure.subplots(1, 2)
    for axes, (column, (title, groups)) in zip(subplots, panels.items(), strict=True):
        drawn = {name: (scores.loc[rows, column], colour) for name, (rows, colour) in groups.items() if rows.any()}
        # Zero stands in the figure, and no group is cut for another's sake, however many rows that one has.
        ends = np.array([[0, 0], *(np.percentile(values, [0.5, 99.5]) for values, _ in drawn.values())])
        low, high = ends[:, 0].min(), ends[:, 1].max()
        bins = np.linspace(low, high, BINS)
        for name, (values, colour) in drawn.items():
            label, share = f"{name} ({len(values) // seeds:,})", np.full(len(values), 100 / len(values))
            inside = values.clip(low, high)
            axes.hist(inside, bins, weights=share, histtype="stepfilled", color=colour, alpha=0.35)
            axes.hist(inside, bins, weights=share, histtype="step", color=colour, label=label)
            axes.axvline(values.mean(), color=colour, linestyle="--", linewidth=1.2)
        axes.axvline(0, color=BLACK, linewidth=1)
        axes.set(title=title, xlabel="← hurts    influence (nats per unit step)    helps →")
    figure.legend(*subplots[0].get_legend_handles_labels(), loc="outside upper right", ncols=2)
    caption(
        figure,
        f"Pooled over {count(scores['seed'])}; in brackets: samples. Dashed: group means. The end bins hold all beyond"
        " them (at most 0.5 % of a group).",
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
    caption(
        figure,
        f"{count(pd.concat([table['seed'] for _, table in panels]))}; loss on the selection role, of the warm student"
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
