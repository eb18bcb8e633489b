"""Named intervals below one another, each name above its interval: what long names and narrow pages need."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final, NamedTuple

from matplotlib.axes import Axes

from search.report.phrases import decimal
from search.report.style import CHANCE, FAINT, INK, TEXT, WIDTH, fitted, text_width, write

LINE: Final = 0.56  # inches from one name to the next
NAME, MARK = 0.15, 0.36  # inches from the top of a line to the middle of its name and of its interval
MARGIN: Final = 0.2
BACKED: Final = {"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 1}  # text over lines


class Interval(NamedTuple):
    """One estimate.

    Attributes:
        name: What was estimated.
        value: None where there is no estimate.
        low: Of the 95 % interval; None where there is none.
        high: The same.
        role: "naive", "honest", "comparison", "chance" or "default".
    """

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    role: str = "comparison"


def told(value: float | None, low: float | None = None, high: float | None = None, digits: int = 2) -> str:
    """An estimate in figures.

    >>> told(0.6123, 0.5, 0.7), told(0.5), told(None)
    ('0.61 (0.50 to 0.70)', '0.50', 'no estimate')
    """
    if value is None or math.isnan(value):
        return "no estimate"
    if low is None or high is None:
        return decimal(value, digits)
    return f"{decimal(value, digits)} ({decimal(low, digits)} to {decimal(high, digits)})"


def reach(
    values: Iterable[float | None], always: Iterable[float] = (), step: float = 0.1
) -> tuple[float, float]:
    """Limits of an axis, whole steps, with room for every value; never empty.

    Shares stay between 0 and 1: neither limit lies beyond one of these where no value does.

    >>> reach([0.61, None, 0.72], always=(0.5, 0.8)), reach([0.99])
    ((0.4, 0.9), (0.9, 1.0))
    """
    known = [value for value in values if value is not None and math.isfinite(value)] + list(always)
    if not known:
        return 0.0, 1.0
    low = math.floor(min(known) / step - 0.25) * step
    high = math.ceil(max(known) / step + 0.25) * step
    low = 0.0 if min(known) >= 0 > low else low
    high = 1.0 if max(known) <= 1 < high else high
    return round(low, 9), round(high, 9)


def draw_interval(
    axes: Axes, top: float, row: Interval, colour: str, marker: str, strong: bool, digits: int = 2
) -> None:
    """One interval: its name at the left, the figures at the right, the interval below both.

    Args:
        axes: Values to the right, inches from the top downwards.
        top: Where the line begins, in inches.
        row: What is drawn.
        colour: Of the interval.
        marker: matplotlib's, of the value.
        strong: Whether it is one of those that the picture is about.
        digits: Decimals of the figures.
    """
    figures = told(row.value, row.low, row.high, digits)
    weight = "bold" if strong else "normal"
    room = WIDTH - 2 * MARGIN - 1.12 * text_width(figures) - 0.15
    name = fitted(row.name, room / (1.12 if strong else 1))
    look = {"va": "center", "transform": axes.get_yaxis_transform(), "weight": weight}
    write(axes, 0, top + NAME, name, bbox=BACKED, **look)
    ink = INK if row.value is not None else FAINT
    write(axes, 1, top + NAME, figures, ha="right", color=ink, **look)
    if row.value is None:
        return
    if row.low is not None and row.high is not None:
        width = 3.5 if strong else 2.2
        ends = [row.low, row.high]
        axes.plot(ends, [top + MARK] * 2, color=colour, linewidth=width, solid_capstyle="butt", clip_on=False)
    size = 9 if strong else 7
    axes.plot(
        row.value, top + MARK, marker, color=colour, markersize=size, markeredgecolor="white", clip_on=False
    )


def draw_chance(axes: Axes, top: float) -> None:
    """The dotted line at one half, and its name above the axes."""
    axes.axvline(CHANCE, color=FAINT, linewidth=1.2, linestyle=":", zorder=0)
    write(axes, CHANCE, top, "chance", ha="center", va="bottom", fontsize=TEXT - 1, color=FAINT)
