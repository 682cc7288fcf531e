"""What the figures share: their look, rows with intervals, percent axes, captions.

Colours are Okabe and Ito's, which colour-blind readers can tell apart. An arm has the same colour in all figures.
"""

from itertools import cycle, product

import numpy as np
import pandas as pd
from matplotlib import color_sequences
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure

from lgtm.report.statistics import Interval

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
    "text.parse_math": False,  # names of classes and arms are no formulas
}
WIDTH = 7.5


def row_figure(title: str, names: list[str]) -> tuple[Figure, Axes]:
    """A figure with a row per name, the first one on top."""
    figure = Figure(figsize=(WIDTH, 1.4 + 0.42 * len(names)), layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
    axes = figure.subplots()
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(False, axis="y")
    axes.tick_params(axis="y", length=0)
    return figure, axes


def draw_row(axes: Axes, row: int, values: pd.Series, over_seeds: Interval, colour, *, filled: bool = True) -> None:
    """Draw a row: the mean with its interval, and the single seeds below it."""
    axes.plot(values, np.full(len(values), row + 0.22), "o", markersize=4, color=colour, alpha=0.5, markeredgewidth=0)
    if over_seeds["low"] is not None:
        axes.hlines(row, over_seeds["low"], over_seeds["high"], color=colour, linewidth=2)
    face = colour if filled else "white"
    axes.plot(over_seeds["mean"], row, "o", markersize=8, color=colour, markerfacecolor=face, markeredgewidth=1.5)


def percent(axis: Axis) -> None:
    """Show the fractions along an axis in percent."""
    axis.set_major_formatter(lambda fraction, _: f"{round(100 * fraction, 6):zg}".replace("-", "−"))


def styles_of(arms) -> dict[str, tuple]:
    """Line and colour of every arm."""
    return dict(zip(arms, cycle(ARM_STYLES), strict=False))


def meaning(seeds: int) -> str:
    """What dots and bars mean, for a caption."""
    if seeds == 1:
        return "One seed: no interval."
    return f"Large dot: mean over {seeds} seeds. Bar: 95 % Student-t interval over seeds. Small dots: single seeds."


def count(seeds: pd.Series) -> str:
    """How many seeds there are, in words."""
    number = seeds.nunique()
    return f"{number} seed{'s' if number > 1 else ''}"


def caption(figure: Figure, text: str) -> None:
    """Write what a reader has to know below a figure."""
    # The one text at the bottom that the constrained layout makes room for.
    figure.supxlabel(text, x=0.01, ha="left", fontsize=8, color=GREY)
