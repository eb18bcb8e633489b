"""The naive and the honest estimate in one picture: what the search found, and what of it can be believed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import gaussian_kde

from search.metrics import DIRECTIONS, Doubles
from search.report.intervals import LINE, MARGIN, MARK, Interval, draw_chance, draw_interval, reach
from search.report.phrases import decimal, digits_of
from search.report.style import (
    AUDITED,
    BLUE,
    CHANCE,
    CREDIBLE,
    FAINT,
    GREEN,
    INK,
    RULE,
    SMALL,
    VERMILION,
    WIDTH,
    draw_on,
    plain_axes,
    text_width,
    write,
)

CHANCE_METRICS: Final = ("roc_auc", "within_participant_auc", "between_participant_auc", "balanced_accuracy")
COLOURS: Final = {"naive": VERMILION, "honest": BLUE, "default": GREEN, "chance": FAINT}
MARKERS: Final = {"naive": "D", "honest": "o", "default": "s", "chance": "o"}
CLOUD: Final = 0.5  # inches that the bootstrap's distribution is high
ARROW: Final = 0.2  # and that the arrow lies below the naive interval
TOP, BOTTOM = 0.34, 0.5


def estimate_figure(
    rows: Sequence[Interval], draws: Doubles | None = None, metric: str = "roc_auc", axis: str = "AUC"
) -> Figure:
    """Every estimate with its interval, the optimism as an arrow from the naive to the honest one.

    Chance is marked for metrics that have it at one half. For "roc_auc" the range that a grouped AUC can
    credibly reach is shaded, and the value above which leaks are looked for is marked.

    Args:
        rows: Top to bottom; the arrow goes from the first naive row to the first honest one.
        draws: The bootstrap's values of the honest estimate, drawn as a distribution below its interval.
        metric: Of the values.
        axis: What the axis is called.
    """
    known = np.array([]) if draws is None else draws[np.isfinite(draws)]
    tops, height = _tops(rows, bool(known.size))
    figure = draw_on(TOP + height + BOTTOM, "Naive and honest estimate with 95 % intervals")
    axes = plain_axes(figure, MARGIN, BOTTOM, MARGIN, TOP)
    values = [value for row in rows for value in (row.value, row.low, row.high)]
    axes.set(xlim=_limits([*values, *known.tolist()], metric), ylim=(height, 0), yticks=[], xlabel=axis)
    axes.spines["left"].set_visible(False)
    _draw_marks(axes, metric)
    for top, row in zip(tops, rows, strict=True):
        colour, marker = COLOURS.get(row.role, INK), MARKERS.get(row.role, "o")
        draw_interval(axes, top, row, colour, marker, row.role in ("naive", "honest"), digits_of(metric))
    _draw_optimism(axes, rows, tops, metric)
    honest = _first(rows, "honest")
    if known.size and honest is not None:
        _draw_cloud(axes, tops[honest] + MARK + 0.1, known)
    return figure


def _first(rows: Sequence[Interval], role: str) -> int | None:
    """The first row of a role that has a value."""
    return next((i for i, row in enumerate(rows) if row.role == role and row.value is not None), None)


def _tops(rows: Sequence[Interval], cloud: bool) -> tuple[list[float], float]:
    """Where each row begins, and where the last one ends, in inches."""
    tops, height = [], 0.08
    naive, honest = _first(rows, "naive"), _first(rows, "honest")
    for index in range(len(rows)):
        tops.append(height)
        height += LINE
        height += ARROW if index == naive and honest is not None else 0
        height += CLOUD if index == honest and cloud else 0
    return tops, height + 0.05


def _limits(values: Sequence[float | None], metric: str) -> tuple[float, float]:
    if metric == "roc_auc":
        return reach(values, always=(CHANCE - 0.03, AUDITED + 0.07))
    return reach(values, always=(CHANCE,) if metric in CHANCE_METRICS else ())


def _draw_marks(axes: Axes, metric: str) -> None:
    """Chance, the credible range and the value that starts an audit."""
    above = -0.04
    if metric in CHANCE_METRICS:
        draw_chance(axes, above)
    if metric != "roc_auc":
        return
    axes.axvspan(*CREDIBLE, color="#e8f1e4", zorder=-2, linewidth=0)
    axes.axvline(AUDITED, color=RULE, linewidth=1.2, zorder=-1)
    style = {"va": "bottom", "fontsize": SMALL, "color": FAINT}
    write(axes, sum(CREDIBLE) / 2, above, "credible", ha="center", **style)
    write(axes, AUDITED, above, "audit", ha="left", **style)


def _draw_optimism(axes: Axes, rows: Sequence[Interval], tops: Sequence[float], metric: str) -> None:
    """An arrow from the naive value to the honest one, below the naive interval, with the difference."""
    naive, honest = _first(rows, "naive"), _first(rows, "honest")
    if naive is None or honest is None:
        return
    start, end = float(rows[naive].value or 0.0), float(rows[honest].value or 0.0)
    height = tops[naive] + MARK + ARROW
    axes.plot([end, end], [height, tops[honest] + MARK], color=BLUE, linewidth=1, linestyle=":", zorder=1)
    axes.plot(
        [start, start], [tops[naive] + MARK, height], color=VERMILION, linewidth=1, linestyle=":", zorder=1
    )
    arrow = {"arrowstyle": "-|>", "color": INK, "linewidth": 1.4, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", xy=(end, height), xytext=(start, height), arrowprops=arrow)
    sign, digits = -1 if DIRECTIONS.get(metric) == "minimize" else 1, digits_of(metric)
    optimism = sign * (round(start, digits) - round(end, digits))  # as the two are told
    text, (low, high) = f"optimism {decimal(optimism, digits, sign=True)}", axes.get_xlim()
    inches = (WIDTH - 2 * MARGIN) / (high - low)
    needed = (text_width(text, SMALL) + 0.15) / inches
    first, last, away = min(start, end), max(start, end), 0.07 / inches
    if high - last > needed:
        write(axes, last + away, height, text, fontsize=SMALL, va="center")
    elif first - low > needed:
        write(axes, first - away, height, text, fontsize=SMALL, va="center", ha="right")
    else:
        write(axes, (first + last) / 2, height + 0.04, text, fontsize=SMALL, va="top", ha="center")


def _draw_cloud(axes: Axes, top: float, draws: Doubles) -> None:
    """How often the bootstrap gave each value, hanging down from a line."""
    if len(np.unique(draws)) < 2:
        return
    places = np.linspace(draws.min(), draws.max(), 160)
    density = gaussian_kde(draws)(places)
    below = top + (CLOUD - 0.12) * density / density.max()
    axes.fill_between(places, top, below, color=BLUE, alpha=0.25, linewidth=0)
    share = f"{len(draws)} bootstrap draws"
    write(
        axes,
        1,
        top + CLOUD - 0.13,
        share,
        ha="right",
        fontsize=SMALL,
        color=FAINT,
        transform=axes.get_yaxis_transform(),
    )
