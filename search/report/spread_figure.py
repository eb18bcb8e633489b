"""Values beside those that chance, or another draw of the folds, would have given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from search.metrics import Doubles
from search.report.intervals import BACKED, LINE, MARGIN, MARK, NAME, draw_chance, reach, told
from search.report.phrases import counted
from search.report.style import (
    CHANCE,
    FAINT,
    INK,
    SKY,
    SMALL,
    VERMILION,
    WIDTH,
    Handles,
    add_legend,
    draw_on,
    fitted,
    plain_axes,
    text_width,
    write,
)

LEFT, RIGHT, TOP, BOTTOM = 0.62, 0.15, 0.62, 0.55  # inches
BARS = 30


def null_figure(null: Doubles, observed: float, p: float, name: str) -> Figure:
    """Histogram of what permuted labels gave, the observed value as a line, and its p-value.

    Args:
        null: The statistic of each permutation, shape (permutations,); NaN where it has none.
        observed: The statistic of the labels as they are.
        p: Of the permutation test.
        name: Of the statistic.
    """
    known = null[np.isfinite(null)]
    figure = draw_on(3.3, f"Permutation distribution of {name} with the observed value")
    axes = plain_axes(figure, LEFT, BOTTOM, RIGHT, TOP)
    low, high = reach([*known.tolist(), observed], step=0.05)
    counts = axes.hist(known, bins=np.linspace(low, high, BARS + 1).tolist(), color=SKY, edgecolor="white")[0]
    axes.set(xlim=(low, high), ylim=(0, max(1.0, float(np.max(counts))) * 1.08), ylabel="Permutations")
    axes.set_xlabel(fitted(name, WIDTH - LEFT - RIGHT), parse_math=False)
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.axvline(observed, color=VERMILION, linewidth=2.2)
    across = axes.transAxes
    text = f"observed {observed:.3f}, p = {p:.3f}"
    write(axes, 0, 1.14, text, transform=across, color=VERMILION, weight="bold")
    write(axes, 0, 1.04, counted(len(known), "permutation"), transform=across, fontsize=SMALL, color=FAINT)
    return figure


def bank_figure(values: Mapping[str, Sequence[float]], axis: str = "AUC", chance: bool = True) -> Figure:
    """The finalists' values over the fold tables: a dot each, that of the search's own table marked.

    Args:
        values: By the finalist's name, its value on each table, that of the search first; NaN where none.
        axis: What the axis is called.
        chance: Whether one half is marked.
    """
    height = LINE * max(len(values), 1) + 0.1
    top = 0.56
    figure = draw_on(top + height + 0.5, "Value of each finalist on every fold table")
    axes = plain_axes(figure, MARGIN, 0.5, MARGIN, top)
    known = [value for row in values.values() for value in row]
    axes.set(xlim=reach(known, always=(CHANCE,) if chance else (), step=0.05), ylim=(height, 0))
    axes.set(yticks=[], xlabel=axis)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.spines["left"].set_visible(False)
    if chance:
        draw_chance(axes, -0.04)
    for place, (name, row) in enumerate(values.items()):
        _draw_bank(axes, 0.04 + place * LINE, name, np.asarray(row, dtype=np.float64))
    _add_key(axes)
    return figure


def _draw_bank(axes: Axes, top: float, name: str, values: Doubles) -> None:
    """One finalist: its name, its median and range in figures, a bar for the middle half, a dot a table."""
    across = axes.get_yaxis_transform()
    known = values[np.isfinite(values)]
    figures = "none" if not known.size else told(float(np.median(known)), known.min(), known.max())
    room = WIDTH - 2 * MARGIN - text_width(figures) - 0.15
    write(axes, 0, top + NAME, fitted(name, room), va="center", transform=across, bbox=BACKED)
    write(axes, 1, top + NAME, figures, va="center", ha="right", transform=across)
    if not known.size:
        return
    low, middle, high = np.quantile(known, [0.25, 0.5, 0.75])
    axes.plot([low, high], [top + MARK] * 2, color=SKY, linewidth=9, alpha=0.6, solid_capstyle="butt")
    axes.plot(middle, top + MARK, "|", color=INK, markersize=13, markeredgewidth=2)
    others = values[1:][np.isfinite(values[1:])]
    axes.plot(others, np.full(len(others), top + MARK), "o", color=INK, markersize=4, alpha=0.6, linewidth=0)
    if np.isfinite(values[:1]).any():
        axes.plot(values[0], top + MARK, "D", color=VERMILION, markersize=7, markeredgecolor="white")


def _add_key(axes: Axes) -> None:
    """What the marks are, above the axes."""
    handles: Handles = {
        "the search's own table": Line2D([], [], marker="D", color=VERMILION, linestyle=""),
        "other tables": Line2D([], [], marker="o", color=INK, markersize=4, linestyle=""),
        "median, middle half": Line2D([], [], color=SKY, linewidth=7, alpha=0.6),
    }
    above = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 1.6, "columnspacing": 0.9}
    add_legend(axes, handles, ncols=3, handletextpad=0.6, **above)
