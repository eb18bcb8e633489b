"""Metrics of out-of-fold probabilities, as SCIENCE of the project defines them.

Every function takes arrays of shape (biopsies,): `label` of 0 and 1, `probability` in [0, 1]. A metric that
is undefined (one class only, no informative pair) is None, never a number that looks like one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

DIRECTIONS: dict[str, Literal["maximize", "minimize"]] = {
    "roc_auc": "maximize",
    "within_participant_auc": "maximize",
    "accuracy": "maximize",
    "f1": "maximize",
    "brier": "minimize",
    "log_loss": "minimize",
}
PROBABILITY_FLOOR = 1e-7  # Keras' epsilon: a certain and wrong answer costs 16.1, not infinity


@dataclass(frozen=True)
class Scores:
    """The held-out biopsies of one fold.

    Attributes:
        label: 0 or 1, shape (biopsies,).
        probability: Of label 1, shape (biopsies,).
        participant: An index per participant, shape (biopsies,).
        threshold: The probability above which the fold's model says 1, fitted on inner data.
    """

    label: Ints
    probability: Doubles
    participant: Ints
    threshold: float

    @property
    def predicted(self) -> Ints:
        """The predicted label of each biopsy."""
        return (self.probability > self.threshold).astype(np.int64)


@dataclass(frozen=True)
class Pairs:
    """Pairs of a positive and a negative biopsy: how many, and how many are ranked rightly (ties half)."""

    concordant: float
    total: int

    @property
    def auc(self) -> float | None:
        """The share ranked rightly; None without a pair."""
        return self.concordant / self.total if self.total else None


def count_pairs(label: Ints, probability: Doubles) -> Pairs:
    """All pairs of a positive and a negative, by the Mann-Whitney statistic.

    >>> count_pairs(np.array([1, 0, 1]), np.array([0.9, 0.4, 0.4]))
    Pairs(concordant=1.5, total=2)
    """
    positive = label == 1
    n = int(positive.sum())
    m = len(label) - n
    ranks = float(rankdata(probability)[positive].sum())
    return Pairs(ranks - n * (n + 1) / 2, n * m)


def add_pairs(parts: Iterable[Pairs]) -> Pairs:
    """The pairs of several folds or participants together."""
    parts = list(parts)
    return Pairs(sum(p.concordant for p in parts), sum(p.total for p in parts))


def pairs_within_participants(scores: Scores) -> Pairs:
    """Pairs of biopsies of one participant: what a map of that participant asserts."""
    positive, negative = scores.label == 1, scores.label != 1
    above, below = scores.probability[positive][:, None], scores.probability[negative]
    same = scores.participant[positive][:, None] == scores.participant[negative]
    ranked = (above > below) + 0.5 * (above == below)
    return Pairs(float(ranked[same].sum()), int(same.sum()))


def fold_metrics(scores: Scores) -> dict[str, float | None]:
    """Every metric of one fold."""
    return pooled_metrics([scores])


def pooled_metrics(folds: Sequence[Scores]) -> dict[str, float | None]:
    """Every metric over several folds.

    `roc_auc` counts the pairs within each fold and adds them up: scores of two folds come from two models
    and are not comparable, so that a pooled ranking is biased below 0.5 where there is no signal. The others
    average over biopsies.
    """
    if not folds:
        return dict.fromkeys(DIRECTIONS)
    label = np.concatenate([fold.label for fold in folds])
    probability = np.concatenate([fold.probability for fold in folds])
    predicted = np.concatenate([fold.predicted for fold in folds])
    clipped = np.clip(probability, PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR)
    return {
        "roc_auc": add_pairs(count_pairs(fold.label, fold.probability) for fold in folds).auc,
        "within_participant_auc": add_pairs(map(pairs_within_participants, folds)).auc,
        "accuracy": float(np.mean(predicted == label)),
        "f1": _f1(label, predicted),
        "brier": float(np.mean((probability - label) ** 2)),
        "log_loss": float(-np.mean(np.log(np.where(label == 1, clipped, 1 - clipped)))),
    }


def _f1(label: Ints, predicted: Ints) -> float | None:
    """Harmonic mean of precision and recall; None where no biopsy is or is called positive."""
    relevant = int(label.sum() + predicted.sum())
    return 2 * int((label * predicted).sum()) / relevant if relevant else None


def matching_threshold(label: Ints, probability: Doubles) -> float:
    """The cut at which as many biopsies are called positive as are positive, fitted on inner data.

    Half-way between the neighbouring probabilities. Without both classes there is nothing to fit: 0.5.

    >>> matching_threshold(np.array([0, 0, 1]), np.array([0.1, 0.2, 0.4]))
    0.30000000000000004
    """
    positives = int(label.sum())
    if positives in (0, len(label)):
        return 0.5
    ordered = np.sort(probability)[::-1]
    return float((ordered[positives - 1] + ordered[positives]) / 2)


def finite(metrics: Mapping[str, float | None]) -> dict[str, float]:
    """The metrics that are defined."""
    return {name: value for name, value in metrics.items() if value is not None}
