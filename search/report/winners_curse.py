"""What the best of several trials is expected to score where there is no signal at all.

References:
    David HA, Nagaraja HN (2003), "Order Statistics", 3rd ed.: the expected maximum.
    Lehmann EL (1975), "Nonparametrics", section 1.3: variance of the Mann-Whitney statistic without signal.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

import numpy as np
from scipy.special import ndtr

from search.metrics import Doubles
from search.records import FoldResult

AUCS: Final = ("roc_auc", "within_participant_auc")  # metrics whose variance without signal is known


def null_error(folds: Iterable[FoldResult], metric: str) -> float | None:
    """Standard error of an AUC without signal: its pairs are those of one fold, or of one participant in it.

    `Var = sum_g M_g N_g (M_g + N_g + 1)/12 / (sum_g M_g N_g)^2` over groups g of M positives and N negatives
    that are ranked on their own, for biopsies independent of each other. Repeats are the same biopsies again
    and count once.

    Args:
        folds: Of one trial.
        metric: "roc_auc" or "within_participant_auc"; any other has none.
    """
    if metric not in AUCS:
        return None
    groups: list[tuple[int, int]] = []
    for fold in folds:
        if fold.repeat == 0:
            label, person = np.array(fold.labels), np.array(fold.participants)
            who = np.unique(person) if metric == "within_participant_auc" else [None]
            parts = [label if one is None else label[person == one] for one in who]
            groups += [(int(np.sum(part == 1)), int(np.sum(part != 1))) for part in parts]
    pairs = sum(m * n for m, n in groups)
    variance = sum(m * n * (m + n + 1) / 12 for m, n in groups)
    return math.sqrt(variance) / pairs if pairs else None


def expected_maximum(draws: int) -> Doubles:
    """Expected maximum of 1, 2, ... standard normal draws, shape (draws,).

    `E[max] = integral of x d(Phi(x)^t)`.

    >>> expected_maximum(100)[[0, 1, 99]].round(3) + 0.0
    array([0.   , 0.564, 2.508])
    """
    x = np.linspace(-9, 9, 3601)
    below = np.log(np.maximum(ndtr(x), 1e-300))
    middle = (x[1:] + x[:-1]) / 2
    return np.array([np.sum(middle * np.diff(np.exp(t * below))) for t in range(1, draws + 1)])
