"""The pictures of a trial: ROC curves, a confusion matrix, the held-out biopsies.

Only matplotlib's objects are used, never pyplot: slots draw from threads, and pyplot keeps one global
list of figures. A picture names biopsies by the captions that the caller gives, never participants.

References:
    Okabe M, Ito K (2008), "Color Universal Design": the palette, told apart with any colour vision.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from sklearn.metrics import roc_auc_score, roc_curve

from data_prep.files import whole_file
from search.metrics import Doubles, Ints

BLACK: Final = "#000000"
GREY: Final = "#8c8c8c"
RIGHT: Final = "#0072B2"
WRONG: Final = "#D55E00"
FOLD_COLOURS: Final = ("#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7")
DPI: Final = 110
LEGEND_FOLDS: Final = 10
SHOWN: Final = 60


class Roc(NamedTuple):
    """One fold's curve; `weight` is its number of (positive, negative) pairs."""

    fold: int
    fpr: Doubles
    tpr: Doubles
    auc: float
    weight: int


def blank_figure(width: float, height: float) -> Figure:
    """A white figure of that many inches that draws itself, known to no global list."""
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: Path) -> Path:
    """Write the figure as PNG, whole or not at all; missing folders are made.

    Returns:
        `path`.
    """
    with whole_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=DPI)
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
            curves.append(Roc(int(number), fpr, tpr, float(roc_auc_score(truth, score)), pairs))
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
    axes = figure.add_subplot()
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
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    axes.set_title(title, fontsize=11, wrap=True)
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
    axes = figure.add_subplot()
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
    axes.set_title(f"{title}\n{right} of {len(label)} right", fontsize=11, wrap=True)
    return figure


def shown_rows(probability: Doubles, limit: int) -> Ints:
    """At most `limit` rows, evenly spaced over the ranked probabilities, in ascending row order.

    >>> shown_rows(np.array([0.9, 0.1, 0.5, 0.3, 0.7]), 3).tolist()
    [0, 1, 2]
    """
    n = len(probability)
    if n <= limit:
        return np.arange(n)
    ranks = np.round(np.linspace(0, n - 1, limit)).astype(np.int64)
    return np.sort(np.argsort(probability, kind="stable")[ranks])


def heldout_figure(
    patches: npt.NDArray[np.floating],
    label: Ints,
    probability: Doubles,
    captions: Sequence[str],
    sequence: str,
    title: str,
    predicted: Ints | None = None,
    limit: int = SHOWN,
) -> Figure:
    """Held-out biopsies in the order given: one sequence's patch in grey, true label, predicted probability.

    A thin blue frame is a right prediction, a thick broken vermilion one a wrong one. All patches share one
    grey window, the 1st to 99th percentile of those shown. Left is the participant's left, up is front.

    Args:
        patches: Patch of one sequence, shape (n, edge, edge); first axis left to right, second back to front.
            One of NaN is an absent sequence and says so.
        label: 0 or 1, shape (n,).
        probability: Out-of-fold, of label 1, shape (n,).
        captions: A short name for each biopsy, such as "#12"; no participant.
        sequence: The name of the sequence drawn.
        title: Above the grid.
        predicted: 0 or 1 by each fold's own threshold, shape (n,); left out, probability above 0.5.
        limit: More biopsies than this are thinned out, evenly over the ranked probabilities, and counted.
    """
    rows = shown_rows(probability, limit)
    columns = int(np.clip(np.ceil(np.sqrt(1.6 * len(rows))), 6, 8))
    lines = max(-(-len(rows) // columns), 1)
    figure = blank_figure(0.3 + 1.12 * columns, 1.0 + 1.4 * lines)
    axes = figure.add_subplot()
    window = _grey_window(patches[rows])
    right = (probability > 0.5 if predicted is None else predicted == 1) == (label == 1)
    for place, row in enumerate(rows):
        corner = (place % columns, 1.25 * (place // columns))
        _draw_patch(axes, patches[row], corner, window)
        answer = f"true {int(label[row])}  p {probability[row]:.3f}"
        _draw_frame(axes, corner, bool(right[row]), captions[row], answer)
    axes.set(xlim=(-0.05, columns - 0.05), ylim=(1.25 * lines - 0.3, -0.32), aspect="equal")
    axes.axis("off")
    cut = "p > 0.5" if predicted is None else "its fold's threshold"
    axes.set_title(f"{title}\n{_heldout_key(sequence, len(rows), right, cut)}", fontsize=10, wrap=True)
    return figure


def _heldout_key(sequence: str, shown: int, right: npt.NDArray[np.bool_], cut: str) -> str:
    """What is shown of how many, and the key to the frames."""
    count = f"{len(right)} held-out biopsies"
    if shown < len(right):
        count = f"{shown} of {len(right)} held-out biopsies, evenly over their ranked probability"
    key = f"blue: right at {cut}, broken vermilion: wrong ({int(right.sum())} of {len(right)} right)"
    return f"{sequence}; {count}\n{key}"


def _grey_window(images: npt.NDArray[np.floating]) -> tuple[float, float]:
    """Black and white level: 1st and 99th percentile of the patches that are there."""
    values = images[~np.isnan(images)]
    if not values.size:
        return 0.0, 1.0
    low, high = map(float, np.percentile(values, [1, 99]))
    return (low, high) if low < high else (low - 1.0, high + 1.0)


def _draw_patch(
    axes: Axes, image: npt.NDArray[np.floating], corner: tuple[float, float], window: tuple[float, float]
) -> None:
    """One patch with its first axis to the right and its second one up, 0.9 wide, at a corner of the grid."""
    left, top = corner
    if np.isnan(image).all():
        axes.text(left + 0.45, top + 0.45, "absent", ha="center", va="center", fontsize=8, color=GREY)
        return
    # The vertical axis of the grid points down, so the patch is turned over to have the front on top.
    picture = axes.imshow(image.T[::-1], cmap="gray", extent=(left, left + 0.9, top + 0.9, top))
    picture.set_interpolation("nearest")
    picture.set_clim(*window)


def _draw_frame(axes: Axes, corner: tuple[float, float], right: bool, caption: str, text: str) -> None:
    """The coloured frame of one biopsy with its two lines of text above."""
    left, top = corner
    frame = Rectangle(corner, 0.9, 0.9, fill=False, gid="frame", edgecolor=RIGHT, linewidth=1.6)
    if not right:
        frame.set(edgecolor=WRONG, linewidth=2.6, linestyle=(0, (3, 1)))
    axes.add_patch(frame)
    axes.text(left, top - 0.17, caption, fontsize=7.5, va="bottom", color=GREY)
    axes.text(left, top - 0.04, text, fontsize=7.5, va="bottom", color=BLACK)
