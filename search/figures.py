"""The figures of a trial: ROC curves and a confusion matrix.

Only matplotlib's objects are used, never pyplot: slots draw from threads, and pyplot keeps one global
list of figures.

References:
    Okabe M, Ito K (2008), "Color Universal Design": the palette, told apart with any colour vision.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from sklearn.metrics import roc_curve

from data_prep.files import whole_file
from search.metrics import Doubles, Ints, count_pairs

BLACK: Final = "#000000"
GREY: Final = "#8c8c8c"
FOLD_COLOURS: Final = ("#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7")
DPI: Final = 110
LEGEND_FOLDS: Final = 10
TICKS: Final = (0.0, 0.25, 0.5, 0.75, 1.0)
COMPRESSION: Final = 3  # half the time of Pillow's own 6 for a file of the same size within 1 %


class Roc(NamedTuple):
    """One fold's curve; `weight` is its number of (positive, negative) pairs."""

    fold: int
    fpr: Doubles
    tpr: Doubles
    auc: float
    weight: int


def blank_figure(width: float, height: float) -> Figure:
    """A white figure of that many inches that draws itself, known to no global list."""
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def add_axes(figure: Figure, left: float, bottom: float, right: float, top: float) -> Axes:
    """Axes with so many inches left free on each side: a layout engine would draw everything twice."""
    width, height = figure.get_size_inches()
    place = (left / width, bottom / height, 1 - (left + right) / width, 1 - (bottom + top) / height)
    return figure.add_axes(place)


def add_title(axes: Axes, text: str) -> None:
    """A title in its usual place; matplotlib would measure every label twice to find that place."""
    axes.set_title(text, fontsize=11, y=1.0)


def save_figure(figure: Figure | Image.Image, path: Path) -> Path:
    """Write the figure as PNG, whole or not at all; missing folders are made.

    Returns:
        `path`.
    """
    with whole_file(path) as temporary:
        if isinstance(figure, Figure):
            figure.savefig(temporary, format="png", dpi=DPI, pil_kwargs={"compress_level": COMPRESSION})
        else:
            figure.save(temporary, format="png", dpi=(DPI, DPI), compress_level=COMPRESSION)
    return path


def fold_curves(label: Ints, probability: Doubles, fold: Ints) -> list[Roc]:
    """The ROC curve of each fold that holds both classes, by fold number.

    Args:
        label: 0 or 1, shape (n,).
        probability: Of label 1, shape (n,).
        fold: Which split held the row out, shape (n,); with repeats, a number for each split of each repeat.
    """
    curves = []
    for number in np.unique(fold):
        truth, score = label[fold == number], probability[fold == number]
        positive = int(np.sum(truth == 1))
        pairs = positive * (len(truth) - positive)
        if pairs:
            fpr, tpr, _ = roc_curve(truth, score)
            auc = float(count_pairs(truth, score).concordant / pairs)
            curves.append(Roc(int(number), fpr, tpr, auc, pairs))
    return curves


def mean_curve(curves: Sequence[Roc]) -> Roc:
    """The vertical mean of the folds' curves, each weighted by its pairs.

    Its area is the share of concordant pairs among all pairs of one fold, the study's `roc_auc`. Vertical
    steps survive: each false positive rate comes twice, with the lowest and the highest true positive rate.
    """
    weights = np.array([curve.weight for curve in curves])
    grid = np.unique(np.concatenate([curve.fpr for curve in curves]))
    low = [-np.interp(-grid, -curve.fpr[::-1], -curve.tpr[::-1]) for curve in curves]
    high = [np.interp(grid, curve.fpr, curve.tpr) for curve in curves]
    tpr = np.column_stack([np.average(side, axis=0, weights=weights) for side in (low, high)])
    auc = float(np.average([curve.auc for curve in curves], weights=weights))
    return Roc(-1, np.repeat(grid, 2), tpr.ravel(), auc, int(weights.sum()))


def roc_figure(label: Ints, probability: Doubles, fold: Ints, title: str) -> Figure:
    """One thin line a fold and their pair-weighted mean, with the AUC of each in the legend.

    Args:
        label: 0 or 1, shape (n,).
        probability: Out-of-fold, of label 1, shape (n,).
        fold: Which split held the row out, shape (n,). A fold of one class has no curve and is left out.
        title: Above the axes.
    """
    figure = blank_figure(4.9, 4.7)
    axes = add_axes(figure, left=0.6, bottom=0.5, right=0.1, top=0.35)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=":", label="chance: AUC 0.50")
    curves = fold_curves(label, probability, fold)
    for index, curve in enumerate(curves):
        _draw_fold(axes, curve, index, named=len(curves) <= LEGEND_FOLDS)
    if curves:
        mean = mean_curve(curves)
        name = f"within folds: AUC {mean.auc:.2f}" + _auc_range(curves)
        axes.plot(mean.fpr, mean.tpr, color=BLACK, linewidth=2.4, label=name)
    else:
        axes.text(0.5, 0.56, "no fold holds both classes", ha="center")
    axes.set(xlabel="False positive rate", ylabel="True positive rate")
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal", xticks=TICKS, yticks=TICKS)
    add_title(axes, title)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower right", fontsize=8, frameon=True, framealpha=0.85, edgecolor="none")
    return figure


def _draw_fold(axes: Axes, curve: Roc, index: int, named: bool) -> None:
    """One thin line: coloured and in the legend if there is room for all, else grey."""
    if not named:
        axes.plot(curve.fpr, curve.tpr, color=GREY, linewidth=0.7, alpha=0.6)
        return
    colour = FOLD_COLOURS[index % len(FOLD_COLOURS)]
    style = "-" if index < len(FOLD_COLOURS) else "--"
    name = f"fold {curve.fold}: AUC {curve.auc:.2f}"
    axes.plot(curve.fpr, curve.tpr, color=colour, linewidth=1.1, linestyle=style, alpha=0.9, label=name)


def _auc_range(curves: Sequence[Roc]) -> str:
    """Lowest and highest AUC where the legend does not list each fold."""
    if len(curves) <= LEGEND_FOLDS:
        return ""
    values = [curve.auc for curve in curves]
    return f"\n({len(curves)} folds, {min(values):.2f} to {max(values):.2f})"


def confusion_figure(
    label: Ints, predicted: Ints, title: str, classes: tuple[str, str] = ("negative", "positive")
) -> Figure:
    """Counts of true against predicted class, shaded by the share of the true class.

    Args:
        label: 0 or 1, shape (n,).
        predicted: 0 or 1, shape (n,).
        title: Above the axes; the accuracy is added.
        classes: Names of 0 and of 1.
    """
    counts = np.zeros((2, 2), dtype=np.int64)
    np.add.at(counts, (label, predicted), 1)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = blank_figure(4.5, 4.7)
    axes = add_axes(figure, left=0.5, bottom=0.45, right=0.1, top=0.55)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(2, 2):
        ink = "white" if share[row, column] > 0.55 else BLACK
        count, part = str(counts[row, column]), f"{share[row, column]:.0%} of {classes[row]}"
        axes.text(column, row - 0.06, count, ha="center", va="center", fontsize=22, color=ink)
        axes.text(column, row + 0.2, part, ha="center", va="center", fontsize=9, color=ink)
    axes.set_xticks([0, 1], classes)
    axes.set_yticks([0, 1], classes, rotation=90, va="center")
    axes.set(xlabel="Predicted", ylabel="True")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    right = int(np.trace(counts))
    add_title(axes, f"{title}\n{right} of {len(label)} right")
    return figure
