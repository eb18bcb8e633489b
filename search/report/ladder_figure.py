"""The baseline ladder: the best of each architecture beside the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.figure import Figure

from search.report.estimate_figure import CHANCE_METRICS
from search.report.intervals import LINE, MARGIN, Interval, draw_chance, draw_interval, reach
from search.report.phrases import digits_of
from search.report.style import BLUE, CHANCE, INK, draw_on, plain_axes

TOP, BOTTOM = 0.32, 0.5


class Rung(NamedTuple):
    """The best configuration of one architecture.

    Attributes:
        name: Of the architecture.
        value: Its metric; None where none completed.
        low: Of the 95 % interval; None where there is none.
        high: The same.
        is_selected: Whether the study selected it, or made it part of its ensemble.
    """

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    is_selected: bool = False


def ladder_figure(rows: Sequence[Rung], metric: str = "roc_auc", axis: str = "AUC") -> Figure:
    """One interval a rung, in the order given; what was selected is bold, blue and larger.

    Args:
        rows: Top to bottom.
        metric: Of the values: chance is marked where it is one half.
        axis: What the axis is called.
    """
    height = LINE * max(len(rows), 1) + 0.1
    figure = draw_on(TOP + height + BOTTOM, "Best configuration of each architecture, with 95 % intervals")
    axes = plain_axes(figure, MARGIN, BOTTOM, MARGIN, TOP)
    values = [value for row in rows for value in (row.value, row.low, row.high)]
    chance = metric in CHANCE_METRICS
    limits = reach(values, always=(CHANCE,) if chance else ())
    axes.set(xlim=limits, ylim=(height, 0), yticks=[], xlabel=axis)
    axes.spines["left"].set_visible(False)
    if chance:
        draw_chance(axes, -0.04)
    for place, row in enumerate(rows):
        interval = Interval(row.name, row.value, row.low, row.high)
        colour, marker = (BLUE, "D") if row.is_selected else (INK, "o")
        draw_interval(axes, 0.04 + place * LINE, interval, colour, marker, row.is_selected, digits_of(metric))
    return figure
