"""What each sequence adds: the AUC lost where it is another biopsy's.

References:
    Fisher A, Rudin C, Dominici F (2019), "All models are wrong, but many are useful", JMLR 20: the loss of
    performance when a feature is permuted.
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from search.report.importance import Importance
from search.report.style import (
    BLUE,
    FAINT,
    INK,
    SMALL,
    TEXT,
    WIDTH,
    draw_on,
    fitted,
    plain_axes,
    text_width,
    write,
)

LINE, TOP, BOTTOM, MARGIN = 0.34, 0.1, 0.5, 0.15
WIDEST_NAME = 1.9  # inches


def importance_figure(found: Importance) -> Figure:
    """One bar a sequence, its loss over the pairs of all folds, and a dot a fold; the largest loss on top."""
    names = [fitted(found.sequences[index], WIDEST_NAME) for index in found.order]
    left = MARGIN + 0.1 + max((text_width(name) for name in names), default=0.0)
    rows = max(len(names), 1)
    figure = draw_on(
        TOP + LINE * rows + BOTTOM, "Loss of AUC when each sequence is permuted between biopsies"
    )
    axes = plain_axes(figure, left, BOTTOM, MARGIN + text_width("+0.000", SMALL) + 0.1, TOP)
    axes.set(ylim=(rows - 0.5, -0.5), yticks=[], xlabel="Loss of AUC when permuted", xlim=_limits(found))
    axes.axvline(0, color=INK, linewidth=0.9)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    for place, index in enumerate(found.order):
        _draw(axes, place, names[place], found.total[index], found.drops[index])
    return figure


def _limits(found: Importance) -> tuple[float, float]:
    totals = (total for total in found.total if total is not None)
    known = [0.0, *totals, *(drop for drops in found.drops for drop in drops)]
    low, high = min(known), max(known)
    room = 0.06 * (high - low) or 0.01
    return low - room, high + room


def _draw(axes: Axes, place: int, name: str, total: float | None, drops: tuple[float, ...]) -> None:
    """One bar, its name at the left, its figure at the right, its folds as dots spread in height."""
    across = axes.get_yaxis_transform()
    inches = axes.get_position().width * WIDTH
    write(axes, -0.1 / inches, place, name, ha="right", va="center", transform=across)
    figures = "none" if total is None else f"{total:+.3f}"
    colour = FAINT if total is None else INK
    place_of = 1 + 0.1 / inches
    write(axes, place_of, place, figures, va="center", transform=across, fontsize=SMALL, color=colour)
    if total is None:
        return
    axes.barh(place, total, height=0.62, color=BLUE, alpha=0.45, linewidth=0)
    heights = place + 0.22 * np.cos(np.pi * np.arange(len(drops)))
    axes.plot(sorted(drops), heights, ".", color=INK, markersize=TEXT / 2.5)
