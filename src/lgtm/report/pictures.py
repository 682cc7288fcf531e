"""A figure as files, and as a part of the page: for a screen, for a phone, on light and on dark."""

import re
from io import BytesIO, StringIO
from textwrap import fill
from typing import NamedTuple

from matplotlib import rc_context
from matplotlib.figure import Figure

from lgtm.report.drawing import STYLE

NARROW = 4.1  # inches: a phone's width, at which the letters are of a size to be read
PANEL = 2.6  # inches of height, of one of several panels below each other
LINE = 0.19  # inches, of a legend
# The page has these from its own colours, light or dark.
PAGE_COLOURS = {
    "#000000": "var(--ink)",
    "#595959": "var(--soft)",
    "#e5e5e5": "var(--line)",
    "#e6e6e6": "var(--line)",
    "#cccccc": "var(--line)",
    "#ffffff": "var(--paper)",
}


class Picture(NamedTuple):
    """A figure: as PNG and SVG files, as two pieces of HTML (wide, narrow), and its title and caption for the page."""

    png: bytes
    svg: bytes
    wide: str
    narrow: str
    title: str
    caption: str


def picture(name: str, figure: Figure) -> Picture:
    """Draw a figure in all its forms; the same figure gives the same bytes. It is changed: it ends as the narrow one.

    name: of the figure, for which its own parts are named in the page.
    """
    # Text stays text: it can be searched, read aloud and marked, and takes the page's colours and letters.
    with rc_context(STYLE | {"svg.fonttype": "none", "svg.hashsalt": name}):
        png, svg = _png(figure), _svg(figure)
        title, caption = figure.get_suptitle(), figure.get_supxlabel()
        _strip(figure)
        wide = _inline(figure, f"{name}-wide")
        _narrow(figure)
        return Picture(png, svg.encode(), wide, _inline(figure, f"{name}-narrow"), title, " ".join(caption.split()))


def _png(figure: Figure) -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=150, metadata={"Software": None})
    return buffer.getvalue()


def _svg(figure: Figure) -> str:
    buffer = StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def _strip(figure: Figure) -> None:
    """Take away what the page says itself: title, caption and paper."""
    for part in (figure._suptitle, figure._supxlabel):
        if part is not None:
            part.remove()
    figure._suptitle = figure._supxlabel = None
    figure.patch.set_alpha(0)
    for axes in figure.axes:
        axes.patch.set_alpha(0)


def _narrow(figure: Figure) -> None:
    """Put the panels below each other, and the legend's entries too, in a phone's width."""
    panels = [axes for axes in figure.axes if axes.axison]
    height = figure.get_figheight()
    for axes in set(figure.axes) - set(panels):
        axes.remove()
    if len(panels) > 1:
        height = PANEL * len(panels)
    grid = figure.add_gridspec(len(panels), 1)
    for place, axes in enumerate(panels):
        axes.set_subplotspec(grid[place, 0])
        for axis, letters in ((axes.xaxis, 44), (axes.yaxis, 30)):
            axis.set_label_text(fill(axis.get_label_text(), letters))
    lines = 0
    for legend in list(figure.legends):
        names = [text.get_text() for text in legend.get_texts()]
        columns = 3 if max(map(len, names)) < 11 else 2 if max(map(len, names)) < 24 else 1
        lines += -(-len(names) // columns)
        legend.remove()  # a legend's columns are set when it is made
        figure.legend(legend.legend_handles, names, loc="outside upper left", ncols=columns)
    figure.set_size_inches(NARROW, height + LINE * lines)


def _inline(figure: Figure, prefix: str) -> str:
    """The drawing as a piece of HTML, in the page's colours, its ids its own."""
    drawing = _svg(figure)
    drawing = drawing[drawing.index("<svg") :]
    drawing = re.sub(r"<metadata>.*?</metadata>", "", drawing, flags=re.DOTALL)
    used = set(re.findall(r"#([\w-]+)[\")]", drawing))
    drawing = re.sub(r' id="([\w.-]+)"', lambda found: found[0] if found[1] in used else "", drawing)
    drawing = re.sub(r'(?<= id=")(?=\w)|(?<="#)(?=\w)|(?<=url\(#)(?=\w)', f"{prefix}-", drawing)
    for colour, own in PAGE_COLOURS.items():
        drawing = drawing.replace(colour, own)
    width, height = figure.get_size_inches() * 72
    head = f'<svg viewBox="0 0 {width:g} {height:g}" class="drawing" aria-hidden="true">'
    return head + drawing[drawing.index(">") + 1 :].strip()
