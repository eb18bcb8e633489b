"""Training curves: what each epoch did to the loss, and where training stopped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from search.metrics import Doubles
from search.records import FoldResult
from search.report.style import (
    AMBER,
    BLUE,
    FAINT,
    GREEN,
    PURPLE,
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

TITLES: Final = {
    "loss": "Training loss",
    "stop_loss": "Loss on the inner stopping split",
    "stop_roc_auc": "AUC on the inner stopping split",
    "learning_rate": "Learning rate",
}
PANEL, LEFT, RIGHT, TOP, BOTTOM, LEGEND, FOOT = 1.9, 0.68, 0.15, 0.34, 0.3, 0.2, 0.36  # inches
COLOURS: Final = (BLUE, VERMILION, GREEN, PURPLE, AMBER, SKY)


def curves_figure(trial_folds: Mapping[str, Sequence[FoldResult]]) -> Figure | None:
    """A panel for each curve: mean over the folds of each trial, their range shaded, best epochs marked.

    A fold that stopped early counts as long as it ran. The upright dotted line of a trial is the mean of its
    folds' best epochs.

    Args:
        trial_folds: Folds by the name of their trial.

    Returns:
        None where no fold has epochs.
    """
    kinds = kinds_of(trial_folds)
    shown = {name: folds for name, folds in trial_folds.items() if kinds_of({name: folds})}
    if not kinds:
        return None
    total = PANEL * len(kinds) + FOOT + LEGEND * (len(shown) + 1)
    figure = draw_on(total, "Training curves by epoch: mean and range over the folds")
    longest = max(len(curve) for folds in shown.values() for fold in folds for curve in fold.curves.values())
    handles: Handles = {"mean best epoch": Line2D([], [], color=FAINT, linestyle=":")}
    for place, kind in enumerate(kinds):
        above = PANEL * place + TOP
        axes = plain_axes(figure, LEFT, total - above - (PANEL - TOP - BOTTOM), RIGHT, above)
        title = fitted(TITLES.get(kind, kind), WIDTH - LEFT - RIGHT)
        write(axes, 0, 1.05, title, va="bottom", transform=axes.transAxes)
        for index, (name, folds) in enumerate(shown.items()):
            line = _draw_trial(axes, folds, kind, index)
            if line is not None:
                handles.setdefault(fitted(name, WIDTH - LEFT - 0.6, SMALL), line)
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
        axes.set_xlim(0.5, longest + 0.5)
        axes.set_yscale("log" if kind == "learning_rate" else "linear")
    axes.set_xlabel("Epoch")
    below = {"loc": "lower left", "bbox_to_anchor": (LEFT / WIDTH, 0.04 / total)}
    add_legend(axes, handles, bbox_transform=figure.transFigure, borderaxespad=0, **below)
    return figure


def kinds_of(trial_folds: Mapping[str, Sequence[FoldResult]]) -> list[str]:
    """The names of all curves that hold a value, the usual ones first."""
    found = {
        name: None
        for folds in trial_folds.values()
        for fold in folds
        for name, curve in fold.curves.items()
        if any(value is not None for value in curve)
    }
    return [name for name in TITLES if name in found] + [name for name in found if name not in TITLES]


def stacked(folds: Sequence[FoldResult], kind: str) -> Doubles:
    """One curve of every fold, shape (folds, epochs of the longest), NaN where a fold has no value."""
    curves = [fold.curves.get(kind, ()) for fold in folds]
    table = np.full((len(curves), max(map(len, curves), default=0)), np.nan)
    for row, curve in zip(table, curves, strict=True):
        row[: len(curve)] = [np.nan if value is None else value for value in curve]
    return table


def _draw_trial(axes: Axes, folds: Sequence[FoldResult], kind: str, index: int) -> Artist | None:
    """Mean and range of one trial, and its mean best epoch; None where it has no such curve."""
    table = stacked(folds, kind)
    kept = ~np.isnan(table).all(axis=0) if table.size else np.zeros(0, dtype=bool)
    if not kept.any():
        return None
    epochs, table = np.flatnonzero(kept) + 1, table[:, kept]
    colour, style = COLOURS[index % len(COLOURS)], "-" if index < len(COLOURS) else "--"
    mean = np.nanmean(table, axis=0)
    axes.fill_between(
        epochs, np.nanmin(table, axis=0), np.nanmax(table, axis=0), color=colour, alpha=0.18, linewidth=0
    )
    marker = "o" if len(epochs) == 1 else None
    line = axes.plot(epochs, mean, color=colour, linewidth=1.8, linestyle=style, marker=marker)[0]
    best = float(np.mean([fold.best_epoch for fold in folds]))
    axes.axvline(best, color=colour, linewidth=1.1, linestyle=":")
    return line
