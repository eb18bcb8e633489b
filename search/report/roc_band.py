"""The ROC curve within folds, with a band from drawing the participants anew.

Scores of two folds come from two models and are never ranked against each other. The band says how far the
curve moves with the participants who happen to be in the cohort; the models that scored them stay as they
are, so that it is too narrow for what another training would give.

References:
    Fawcett T (2006), "An introduction to ROC analysis", Pattern Recognit Lett 27: vertical averaging.
    Field CA, Welsh AH (2007), "Bootstrapping clustered data", J R Stat Soc B 69: clusters drawn whole.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from search.figures import TICKS, Roc, fold_curves, mean_curve
from search.metrics import Doubles, Ints
from search.report.intervals import told
from search.report.style import BLUE, FAINT, Handles, add_legend, draw_on, plain_axes, write
from search.statistics.draws import times_drawn
from search.statistics.predictions import Outputs

LEVELS: Final = (0.025, 0.975)
POINTS: Final = 101  # false positive rates at which the band is known, those of the curve besides


class Band(NamedTuple):
    """Pointwise 95 % band of a curve.

    Attributes:
        fpr: False positive rates, ascending.
        low: 2.5 % quantile of the true positive rate at each.
        high: 97.5 % quantile.
        auc: AUC within folds of each draw that had a pair, shape (at most draws,).
    """

    fpr: Doubles
    low: Doubles
    high: Doubles
    auc: Doubles


def roc_figure(
    outputs: Outputs, draws: int = 500, seed: int = 0, interval: tuple[float, float] | None = None
) -> Figure:
    """The pair-weighted mean curve of all folds and repeats, its band, and its AUC.

    Args:
        outputs: Of one model or ensemble, held out.
        draws: How often the participants are drawn.
        seed: The same seed gives the same band.
        interval: Of the AUC, where the report has one; else that of the draws.
    """
    figure = draw_on(5.3, "ROC curve within folds, with its 95 % band", width=5.2)
    axes = plain_axes(figure, left=0.62, bottom=0.55, right=0.12, top=0.14)
    axes.set(xlabel="False positive rate", ylabel="True positive rate")
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal", xticks=TICKS, yticks=TICKS)
    curves = curves_of(outputs)
    handles: Handles = {}
    if curves:
        mean, band = mean_curve(curves), bootstrap_band(outputs, draws, seed)
        low, high = interval or (map(float, np.quantile(band.auc, LEVELS)) if band.auc.size else (None, None))
        shade = axes.fill_between(band.fpr, band.low, band.high, color=BLUE, alpha=0.2, linewidth=0)
        name = f"within folds: AUC {told(mean.auc, low, high)}"
        handles[name] = axes.plot(mean.fpr, mean.tpr, color=BLUE, linewidth=2.4)[0]
        handles["95 % band, participants drawn anew"] = shade
    else:
        write(axes, 0.5, 0.6, "no fold holds both classes", ha="center")
    handles["chance: AUC 0.50"] = axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1.2, linestyle=":")[0]
    add_legend(axes, handles, loc="lower right", frameon=True, framealpha=0.85, edgecolor="none")
    return figure


def curves_of(outputs: Outputs) -> list[Roc]:
    """The curve of each fold of each repeat that holds both classes."""
    parts = zip(outputs.label, outputs.score, outputs.fold, strict=True)
    return [curve for label, score, fold in parts for curve in fold_curves(label, score, fold)]


def bootstrap_band(outputs: Outputs, draws: int, seed: int) -> Band:
    """Draw the participants with replacement, and the mean curve of each draw.

    The folds keep the biopsies that they held out, as often as their participants were drawn. A fold that a
    draw leaves with one class counts for nothing in it, as it has no pair.

    Args:
        outputs: At least one fold of both classes.
        draws: How often.
        seed: Of the draws.
    """
    fpr = np.unique(np.concatenate([np.linspace(0, 1, POINTS), *(c.fpr for c in curves_of(outputs))]))
    people, index = np.unique(outputs.participant, return_inverse=True)
    times = times_drawn(len(people), draws, seed)[:, index]
    low, high = np.zeros((draws, len(fpr))), np.zeros((draws, len(fpr)))
    area, pairs = np.zeros(draws), np.zeros(draws)
    for repeat, fold in _folds(outputs):
        rows = np.flatnonzero(outputs.fold[repeat] == fold)
        false, true = _steps(outputs.label[repeat, rows], outputs.score[repeat, rows], times[:, rows])
        weight = false[:, -1] * true[:, -1]
        pairs += weight
        for draw in np.flatnonzero(weight):
            x, y = false[draw] / false[draw, -1], true[draw] / true[draw, -1]
            low[draw] += weight[draw] * -np.interp(-fpr, -x[::-1], -y[::-1])
            high[draw] += weight[draw] * np.interp(fpr, x, y)
            area[draw] += weight[draw] * np.trapezoid(y, x)
    there = pairs > 0
    total = pairs[there][:, None]
    bottom = np.quantile(low[there] / total, LEVELS[0], axis=0)
    top = np.quantile(high[there] / total, LEVELS[1], axis=0)
    return Band(fpr, bottom, top, area[there] / pairs[there])


def _folds(outputs: Outputs) -> list[tuple[int, int]]:
    """Every fold of every repeat that holds both classes."""
    found = []
    for repeat, (label, fold) in enumerate(zip(outputs.label, outputs.fold, strict=True)):
        found += [(repeat, int(k)) for k in np.unique(fold) if len(np.unique(label[fold == k])) > 1]
    return found


def _steps(label: Ints, score: Doubles, times: Doubles) -> tuple[Doubles, Doubles]:
    """Counts of false and true positives as the cut falls, shape (draws, cuts + 1); ties pass it together."""
    order = np.argsort(-score, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))
    zero = np.zeros((len(times), 1))
    counts = [
        np.hstack([zero, np.cumsum(times[:, order] * (label[order] == side), axis=1)[:, ends]])
        for side in (0, 1)
    ]
    return counts[0], counts[1]
