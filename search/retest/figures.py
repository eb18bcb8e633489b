"""Second scans against first as figures: Bland-Altman of the biopsies, agreement of each participant's map.

References:
    Bland JM, Altman DG (1986), "Statistical methods for assessing agreement", Lancet 327, 307-310.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from search.report.style import (
    BLUE,
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
    write,
)
from search.retest.judged import OwnMap
from search.retest.paired import Paired
from search.statistics.agreement import Measure
from search.statistics.differences import BlandAltman

LEFT, RIGHT, TOP, BOTTOM = 0.7, 0.75, 0.45, 0.55  # inches
LINE, NAMES = 0.2, 1.3
MOST_NAMES = 40  # participants that a figure names; of more, those at both ends


def bland_altman_figure(paired: Paired, apart: BlandAltman) -> Figure:
    """Difference against mean of the two probabilities, with bias and limits; labels that flip stand out."""
    first, second = paired.probabilities
    one, other = (margin > 0 for margin in paired.margins)
    figure = draw_on(3.6, "Second scan's probability minus the first's, against their mean")
    axes = plain_axes(figure, LEFT, BOTTOM, RIGHT, TOP)
    mean, d, flipped = (first + second) / 2, second - first, one != other
    marks: Handles = {}
    for name, rows, colour in (("same label", ~flipped, BLUE), ("label flips", flipped, VERMILION)):
        axes.plot(mean[rows], d[rows], "o", color=colour, markersize=4.5, alpha=0.75, markeredgewidth=0)
        marks[name] = Line2D([], [], marker="o", color=colour, linestyle="", markersize=4.5)
    for label, measure in (("bias", apart.bias), ("+1.96 sd", apart.upper), ("-1.96 sd", apart.lower)):
        _draw_level(axes, label, measure)
    axes.set(xlabel="mean of both scans' probabilities", ylabel="second minus first", xlim=(0, 1))
    reach = 1.1 * max([abs(x) for x in (*d, apart.lower.value or 0.0, apart.upper.value or 0.0)] + [0.05])
    axes.set_ylim(-reach, reach)
    add_legend(axes, marks, ncols=2, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.3)
    return figure


def _draw_level(axes: Axes, label: str, measure: Measure) -> None:
    """A line across at a value, its interval as a band, both figures at the right."""
    if measure.value is None:
        return
    if measure.ci95:
        axes.axhspan(*measure.ci95, color=SKY, alpha=0.25, linewidth=0)
    axes.axhline(measure.value, color=INK, linewidth=1.1, linestyle="-" if label == "bias" else "--")
    across = axes.get_yaxis_transform()
    text = f"{label}\n{measure.value:+.3f}"
    write(axes, 1.02, measure.value, text, transform=across, va="center", fontsize=SMALL, color=FAINT)


def maps_figure(maps: Sequence[OwnMap]) -> Figure:
    """ICC and flip rate of each participant's map, the best on top."""
    known = sorted((one for one in maps if one.icc is not None), key=lambda one: one.icc or 0.0, reverse=True)
    shown = known if len(known) <= MOST_NAMES else [*known[: MOST_NAMES // 2], *known[-MOST_NAMES // 2 :]]
    height = LINE * max(len(shown), 1)
    figure = draw_on(TOP + height + BOTTOM, "Agreement of each participant's map between two scans")
    axes = plain_axes(figure, NAMES, BOTTOM, 0.2, TOP)
    icc = np.array([one.icc for one in shown], dtype=np.float64)
    flips = np.array([one.flip_rate for one in shown])
    rows = np.arange(len(shown))
    axes.hlines(rows, np.minimum(icc, flips), np.maximum(icc, flips), color=SKY, linewidth=1)
    axes.plot(icc, rows, "o", color=BLUE, markersize=5)
    axes.plot(flips, rows, "D", color=VERMILION, markersize=4)
    low = min(0.0, float(icc.min(initial=0.0)))
    axes.set(ylim=(max(len(shown), 1) - 0.5, -0.5), yticks=[], xlim=(low - 0.04, 1.04))
    axes.set_xlabel("ICC(A,1) over the map's sites; share of sites that flip")
    across = axes.get_yaxis_transform()
    for row, one in enumerate(shown):
        name = fitted(one.participant, NAMES - 0.2, SMALL)
        inches = axes.get_position().width * WIDTH
        write(axes, -0.1 / inches, row, name, transform=across, ha="right", va="center", fontsize=SMALL)
    handles: Handles = {
        "ICC": Line2D([], [], marker="o", color=BLUE, linestyle=""),
        "flips": Line2D([], [], marker="D", color=VERMILION, linestyle="", markersize=4),
    }
    add_legend(axes, handles, ncols=2, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.3)
    return figure
