"""Spearman's rank correlation within folds, for many draws of the participants at once."""

from __future__ import annotations

import numpy as np

from search.metrics import Doubles
from search.statistics.concordance import share
from search.statistics.predictions import Outputs


def spearman_within_folds(outputs: Outputs, expression: Doubles, weight: Doubles) -> Doubles:
    """The correlation of scores and expression in each fold and repeat, averaged by the folds' biopsies.

    Folds in which all scores or all expressions are equal have none and are left out.

    Args:
        outputs: What was predicted.
        expression: Of each biopsy, shape (n,); only its ranks count.
        weight: How many times each biopsy is there, shape (draws, n).

    Returns:
        Shape (draws,); NaN where no fold has a correlation.
    """
    total, size = np.zeros(len(weight)), np.zeros(len(weight))
    for fold, score in zip(outputs.fold, outputs.score, strict=True):
        for rows in (np.flatnonzero(fold == name) for name in np.unique(fold)):
            value = _spearman(score[rows], expression[rows], weight[:, rows])
            biopsies = np.where(np.isnan(value), 0.0, weight[:, rows].sum(axis=1))
            total += np.nan_to_num(value) * biopsies
            size += biopsies
    return share(total, size)


def _spearman(x: Doubles, y: Doubles, weight: Doubles) -> Doubles:
    """The weighted correlation of ranks, shape (draws,); NaN where there is none."""
    a, b = _ranks(x, weight), _ranks(y, weight)
    spread = np.sqrt(_covariance(a, a, weight) * _covariance(b, b, weight))
    return share(_covariance(a, b, weight), spread)


def _ranks(x: Doubles, weight: Doubles) -> Doubles:
    """Mean ranks where biopsy j is there `weight[:, j]` times, less a constant; shape (draws, biopsies)."""
    below = (x[:, None] < x) + 0.5 * (x[:, None] == x)
    return np.asarray(weight @ below, dtype=np.float64)


def _covariance(a: Doubles, b: Doubles, weight: Doubles) -> Doubles:
    """The weighted sum of products about the weighted means, shape (draws,); ranks make it exact."""
    size = weight.sum(axis=1)
    means = (weight * a).sum(axis=1) * (weight * b).sum(axis=1)
    return np.asarray((weight * a * b).sum(axis=1) * size - means, dtype=np.float64)
