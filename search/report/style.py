"""How the report's figures look, and their SVG as it is put into a page.

Figures are narrow with large letters, since a phone shows them at two thirds of their size. Names come from
study files and cohorts: they are drawn as they are, never read as formulas, and cut where they are too long.
"""

from __future__ import annotations

import hashlib
import re
import warnings
from functools import cache
from io import StringIO
from typing import Any, Final, TypeAlias
from xml.etree import ElementTree

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont
from matplotlib.legend import Legend
from matplotlib.text import Text
from PIL import ImageFont

from search.figures import add_axes, blank_figure

# In inches, and in points.
WIDTH: Final = 5.4
TEXT: Final = 10.0
SMALL: Final = 9.0

Handles: TypeAlias = dict[str, Any]
"""What a legend names, by its name: matplotlib's artists, and containers of them."""

INK: Final = "#222222"
FAINT: Final = "#6b6b6b"
RULE: Final = "#c4c4c4"
BLUE, VERMILION, GREEN, AMBER, SKY, PURPLE = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#E69F00",
    "#56B4E9",
    "#CC79A7",
)
POSITIVE, NEGATIVE = VERMILION, SKY

CREDIBLE: Final = (0.65, 0.75)
"""AUC that grouped validation of such cohorts can credibly reach (SCIENCE, section 1)."""
AUDITED: Final = 0.80
"""A grouped AUC above this is looked at for leaks (SCIENCE, section 1)."""
CHANCE: Final = 0.5

_SVG: Final = "{http://www.w3.org/2000/svg}"
_HREF: Final = "{http://www.w3.org/1999/xlink}href"
_CSS_PIXELS: Final = 96 / 72


def draw_on(height: float, description: str, width: float = WIDTH) -> Figure:
    """A blank figure of that many inches; the description is what a screen reader says of it."""
    figure = blank_figure(width, height)
    figure.set_label(description)
    return figure


def plain_axes(figure: Figure, left: float, bottom: float, right: float, top: float) -> Axes:
    """Axes with so many inches left free on each side, without the frame's upper and right part."""
    axes = add_axes(figure, left, bottom, right, top)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(labelsize=SMALL, colors=INK)
    axes.xaxis.label.set_fontsize(TEXT)
    axes.yaxis.label.set_fontsize(TEXT)
    return axes


def bare_axes(figure: Figure) -> Axes:
    """Axes over the whole figure, measured in inches from its upper left corner, without any frame."""
    width, height = figure.get_size_inches()
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    return axes


def write(axes: Axes, x: float, y: float, text: str, **options: Any) -> Text:
    """Text as it is, in the axes' coordinates: a dollar sign is a dollar sign."""
    style: dict[str, Any] = {"fontsize": TEXT, "color": INK, "parse_math": False}
    return axes.text(x, y, printable(text), **(style | options))


def add_legend(axes: Axes, handles: Handles, **options: Any) -> Legend:
    """A legend of names to artists; names that matplotlib would hide or read as formulas stay as they are."""
    style: dict[str, Any] = {"fontsize": SMALL, "frameon": False, "handlelength": 1.6}
    legend = axes.legend(list(handles.values()), list(map(printable, handles)), **(style | options))
    for text in legend.get_texts():
        text.set_parse_math(False)
    return legend


def printable(text: str) -> str:
    """The text with a mark for every character that no font shows and XML may not hold."""
    return "".join(
        sign if sign.isprintable() or sign == "\n" else "\N{REPLACEMENT CHARACTER}" for sign in text
    )


def fitted(text: str, inches: float, size: float = TEXT) -> str:
    """The text, or as much of its beginning as fits into so many inches.

    >>> fitted("sub-01", 2.0), fitted("W" * 60, 1.0)
    ('sub-01', 'WWWWWW…')
    """
    shown = text = printable(text)
    while text_width(shown, size) > inches and len(text) > 1:
        text = text[:-1]
        shown = f"{text.rstrip()}…"
    return shown


def text_width(text: str, size: float = TEXT) -> float:
    """How many inches wide a line of text of that many points is."""
    return float(_font().getlength(text)) / 100 * size / 72


@cache
def _font() -> ImageFont.FreeTypeFont:
    """Among the widest of the plain fonts, so that text measured by it fits in any."""
    return ImageFont.truetype(findfont("DejaVu Sans"), 100, layout_engine=ImageFont.Layout.BASIC)


def svg(figure: Figure, name: str = "") -> str:
    """The figure as markup for a page: scales to the page's width, text as text, nothing loaded.

    The bytes only depend on the figure and the name. Every id begins with a hash of both.

    Args:
        figure: Its label, as `draw_on` set it, becomes the title that a screen reader says.
        name: Tells two figures of the same content apart on one page.
    """
    text = _drawn(figure)
    mark = "f" + hashlib.sha256(f"{name}\n{figure.get_label()}\n{text}".encode()).hexdigest()[:10]
    ElementTree.register_namespace("", _SVG[1:-1])
    ElementTree.register_namespace("xlink", _HREF[1:-5])
    root = ElementTree.fromstring(text)  # noqa: S314 - what matplotlib wrote a moment ago
    for metadata in root.findall(f"{_SVG}metadata"):
        root.remove(metadata)
    _rename(root, mark)
    _present(root, mark, str(figure.get_label()))
    return ElementTree.tostring(root, encoding="unicode")


def _drawn(figure: Figure) -> str:
    """What matplotlib writes; a sign that its own font lacks is no problem in a browser."""
    stream = StringIO()
    settings: Any = {"svg.fonttype": "none", "svg.hashsalt": "radsearch", "svg.image_inline": True}
    with mpl.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure.savefig(stream, format="svg", metadata={"Date": None})
    return re.sub(r"'DejaVu Sans'[^;\"]*sans-serif", "sans-serif", stream.getvalue())


def _rename(root: ElementTree.Element, mark: str) -> None:
    """Put the mark before every id and wherever one is named."""
    for element in root.iter():
        for key, value in element.attrib.items():
            if key == "id":
                element.set(key, f"{mark}-{value}")
            elif key == _HREF and value.startswith("#"):
                element.set(key, f"#{mark}-{value[1:]}")
            elif "url(#" in value:
                element.set(key, value.replace("url(#", f"url(#{mark}-"))
        if element.tag == f"{_SVG}style" and element.text:
            element.text = element.text.replace("*{", f"#{mark} *{{")


def _present(root: ElementTree.Element, mark: str, title: str) -> None:
    """Size, name and role of the whole picture."""
    width = float(root.attrib["width"].removesuffix("pt")) * _CSS_PIXELS
    root.attrib.pop("height")
    root.attrib["width"] = "100%"
    style = f"display:block;max-width:{width:.0f}px;height:auto;background:#fff"
    root.attrib |= {"id": mark, "role": "img", "aria-labelledby": f"{mark}-title", "style": style}
    element = ElementTree.Element(f"{_SVG}title", {"id": f"{mark}-title"})
    element.text = printable(title)
    root.insert(0, element)
