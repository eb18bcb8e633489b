"""Which fold holds out how many biopsies of either class, and of how many participants."""

from __future__ import annotations

from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from data_prep.folds import FoldTable
from search.metrics import Ints
from search.report.style import (
    FAINT,
    NEGATIVE,
    POSITIVE,
    SMALL,
    TEXT,
    WIDTH,
    Handles,
    add_legend,
    draw_on,
    plain_axes,
    write,
)

LEFT, RIGHT, TOP, BOTTOM, PANEL = 0.62, 0.12, 0.55, 0.5, 2.0  # inches
NAMED: Final = 12  # bars of one panel that have room for their numbers
SMALLER: Final = 0.8  # height of a panel where there are several


def folds_figure(table: FoldTable, label: Ints) -> Figure:
    """Stacked bars of positives and negatives by fold, a panel for each repeat.

    The number above a bar is how many participants the fold holds out.

    Args:
        table: The frozen folds.
        label: 0 or 1 for each of its rows, shape (n,), or (repeats, n) where the cut is each fold's own.
    """
    repeats = len(table.fold)
    panel = PANEL if repeats == 1 else SMALLER
    gap = 0.0 if repeats == 1 else 0.14
    total = TOP + repeats * panel + (repeats - 1) * gap + BOTTOM
    figure = draw_on(total, "Positive and negative biopsies and participants held out in each fold")
    labels = np.broadcast_to(label, table.fold.shape)
    counts = [held_out(table, repeat, labels[repeat]) for repeat in range(repeats)]
    highest = max(float((positive + negative).max()) for positive, negative, _ in counts)
    for repeat, (positive, negative, people) in enumerate(counts):
        above = TOP + repeat * (panel + gap)
        axes = plain_axes(figure, LEFT, total - above - panel, RIGHT, above)
        _draw(axes, positive, negative, people)
        axes.set(ylim=(0, highest * (1.15 if repeats == 1 else 1.35)))
        if repeats > 1:
            axes.tick_params(labelbottom=repeat == repeats - 1)
            look = {"ha": "right", "transform": axes.transAxes, "fontsize": SMALL, "color": FAINT}
            write(axes, 1, 0.98, f"repeat {repeat + 1}", **look)
        if repeat == 0:
            _add_key(axes, named=table.n_folds <= NAMED)
    axes.set_xlabel("Fold")
    place = (0.16 / WIDTH, (BOTTOM + (total - TOP - BOTTOM) / 2) / total)
    figure.text(*place, "Biopsies held out", rotation=90, va="center", ha="center", fontsize=TEXT)
    return figure


def held_out(table: FoldTable, repeat: int, label: Ints) -> tuple[Ints, Ints, Ints]:
    """Positives, negatives and participants of each fold of a repeat, each of shape (folds,)."""
    fold = table.fold[repeat]
    size = table.n_folds
    positive = np.bincount(fold[label == 1], minlength=size)
    negative = np.bincount(fold[label != 1], minlength=size)
    people = dict(zip(table.participant_id, fold.tolist(), strict=True))
    return positive, negative, np.bincount(list(people.values()), minlength=size)


def _draw(axes: Axes, positive: Ints, negative: Ints, people: Ints) -> None:
    """The bars of one repeat."""
    folds = np.arange(len(positive))
    axes.bar(folds, positive, color=POSITIVE, width=0.75)
    axes.bar(folds, negative, bottom=positive, color=NEGATIVE, width=0.75)
    axes.set(xlim=(-0.6, len(folds) - 0.4))
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    if len(folds) > NAMED:
        return
    axes.set_xticks(folds)
    for fold in range(len(folds)):
        top = float(positive[fold] + negative[fold])
        write(axes, fold, top, f" {people[fold]} ", ha="center", va="bottom", fontsize=SMALL)


def _add_key(axes: Axes, named: bool) -> None:
    """What the colours are, and the number above each bar."""
    bars = axes.containers
    below = {"loc": "lower left", "bbox_to_anchor": (0, 1.02), "borderaxespad": 0}
    handles: Handles = {"positive": bars[0], "negative": bars[1]}
    if named:
        handles["above: participants"] = Line2D([], [], linestyle="")
    add_legend(axes, handles, ncols=3, columnspacing=1.0, **below)
