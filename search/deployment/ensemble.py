"""What several configurations say together: their mean rank, calibrated on biopsies they did not learn from.

Each configuration gives a place a score, the mean over its seeds: the logit of its probability, or the value
of a regression. Where that lies among the scores the configuration gave biopsies held out of its training is
its rank. The ranks are averaged, and the logit of the mean is calibrated by Platt's sigmoid on the labels of
the same biopsies. One configuration is calibrated on its own score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import log_expit, logit, logsumexp

from data_prep.arrays import BoolArray, DoubleArray, IntArray
from data_prep.labels import UNKNOWN
from data_prep.problems import Problems
from models.calibration import Calibration, platt
from search.metrics import matching_threshold

# Scores that differ by less, relative to their size, are the same: their ranks would be those of rounding.
ROUNDING = 1e-9

# Log-odds beyond this, odds of 55 to 1, are told apart by less and less: what one model is certain of, as a
# forest whose trees all agree, would else weigh more in a calibration than all other biopsies together.
ALMOST_CERTAIN = 4.0


@dataclass(frozen=True)
class LabelEnsemble:
    """The ensemble of one label.

    Attributes:
        scores: Of each configuration, what it gave the biopsies held out, ascending.
        together: From what the configurations say together to the chance of the label.
        own: From the score of each configuration to the chance of the label.
        threshold: The probability above which the label is said, at which as many biopsies are positive as
            are (`search.metrics.matching_threshold`).
    """

    scores: tuple[tuple[float, ...], ...]
    together: Calibration
    own: tuple[Calibration, ...]
    threshold: float

    def margin(self, scores: DoubleArray) -> DoubleArray:
        """What C configurations say together of m places, in log-odds before calibration; shape (m,).

        It rises with the score of every configuration but one that always said the same; with a score far
        beyond the known ones by less and less, as its rank can be no more than 1.

        Args:
            scores: Numbers, shape (m, C).
        """
        if len(self.scores) == 1:
            return scores[:, 0]
        ranks = np.stack([rank(*pair) for pair in zip(self.scores, scores.T, strict=True)], axis=1)
        # The logit of the mean of their sigmoids, also where these are rounded to 0 or 1.
        above, below = (logsumexp(log_expit(sign * ranks), axis=1) for sign in (1.0, -1.0))
        return np.asarray(above - below)


@dataclass(frozen=True)
class Ensemble:
    """C configurations that answer together for K labels.

    Attributes:
        heads: A part for each label.
    """

    heads: tuple[LabelEnsemble, ...]

    @property
    def thresholds(self) -> DoubleArray:
        """The probability above which each label is said, shape (K,)."""
        return np.array([head.threshold for head in self.heads])

    def probability(self, scores: DoubleArray) -> DoubleArray:
        """The calibrated probability of each label, shape (m, K); NaN where a score is.

        Args:
            scores: Of m places, mean over the seeds of each configuration, shape (m, C, K).
        """
        said = np.full((len(scores), len(self.heads)), np.nan)
        for k, head in enumerate(self.heads):
            known = ~np.isnan(scores[:, :, k]).any(axis=1)
            said[known, k] = head.together(head.margin(scores[known, :, k]))
        return said

    def alone(self, scores: DoubleArray, configuration: Sequence[int] | None = None) -> DoubleArray:
        """The probability that each configuration, or each of several members of it, would give by itself.

        Args:
            scores: Of m places by c members, shape (m, c, K).
            configuration: Which configuration each member is of; None for one of each, in their order.

        Returns:
            Calibrated on the configuration's own out-of-fold scores, shape (m, c, K); NaN where a score is.
        """
        said = np.full(scores.shape, np.nan)
        for k, head in enumerate(self.heads):
            which = range(len(head.own)) if configuration is None else configuration
            for column, one in enumerate(which):
                known = ~np.isnan(scores[:, column, k])
                said[known, column, k] = head.own[one](scores[known, column, k])
        return said


def fit_ensemble(scores: DoubleArray, labels: IntArray, names: Sequence[str] | None = None) -> Ensemble:
    """Fit the ranks, the calibrations and the thresholds.

    Args:
        scores: Of n biopsies, each by models that did not learn from its participant; shape (n, C, K).
        labels: 0, 1 or `UNKNOWN`, shape (n, K); biopsies whose label is unknown count for the ranks alone.
        names: Of the labels, for the errors.

    Raises:
        InputError: The known values of a label are all the same, or a score is no number.
    """
    names = names or [f"label {k}" for k in range(labels.shape[1])]
    problems = Problems()
    for k, name in enumerate(names):
        known = labels[labels[:, k] != UNKNOWN, k]
        if len(set(known.tolist())) < 2:
            told = f"all {len(known)} that are known are {known[0]}" if len(known) else "none is known"
            problems.add(name, f"biopsies with and without it are needed to calibrate, but {told}")
        if not np.isfinite(scores[:, :, k]).all():
            problems.add(name, "finite out-of-fold scores are needed, but some are not")
    problems.raise_any()
    return Ensemble(tuple(_fit(scores[:, :, k], labels[:, k]) for k in range(len(names))))


def rank(known: Sequence[float], score: DoubleArray) -> DoubleArray:
    """Where scores (m,) lie among known ones, as the logit of a rank in (0, 1); shape (m,).

    The i-th of n known scores, from 0, has rank (i + 0.5) / n; scores that are equal share the mean of
    theirs. Between two of them the logit is linear in the score. Beyond the ends it goes on with the slope
    from the lowest to the highest, so that no two places of a map tie. Where all known scores are the same
    the rank is 1/2.

    Args:
        known: Ascending.
        score: Numbers in the same unit.
    """
    values, counts = np.unique(known, return_counts=True)
    low, high = values[0], values[-1]
    if is_constant(values):
        return np.zeros(len(score))
    height = logit((np.cumsum(counts) - counts / 2) / counts.sum())
    slope = (height[-1] - height[0]) / (high - low)
    beyond = np.minimum(score - low, 0.0) + np.maximum(score - high, 0.0)
    return np.asarray(np.interp(score, values, height) + slope * beyond)


def is_constant(scores: DoubleArray) -> bool:
    """Whether scores (n,) are all the same but for rounding."""
    low, high = float(scores.min()), float(scores.max())
    return high - low <= ROUNDING * max(abs(low), abs(high))


def log_odds(probability: DoubleArray) -> DoubleArray:
    """Scores of probabilities of any shape: the logit, which beyond `ALMOST_CERTAIN` goes on by logarithm.

    They rise with the probability as far as double precision tells it from 1, and from 0 as far: log-odds of
    36.7, which become a score of 7.5. A probability and what it leaves to 1 have opposite scores.
    """
    end = np.finfo(np.float64).epsneg
    odds = logit(np.clip(probability, end, 1.0 - end))
    beyond = np.maximum(np.abs(odds) - ALMOST_CERTAIN, 0.0)
    size = np.minimum(np.abs(odds), ALMOST_CERTAIN) + np.log1p(beyond)
    return np.asarray(np.sign(odds) * size)


def _fit(scores: DoubleArray, labels: IntArray) -> LabelEnsemble:
    """The ensemble of one label, of scores (n, C) and labels (n,)."""
    known = labels != UNKNOWN
    own = tuple(_calibrated(column[known], labels[known]) for column in scores.T)
    kept = tuple(tuple(np.sort(column).tolist()) for column in scores.T)
    unfitted = LabelEnsemble(kept, Calibration(1.0, 0.0), own, 0.5)
    together = own[0] if len(own) == 1 else _calibrated(unfitted.margin(scores)[known], labels[known])
    fitted = LabelEnsemble(kept, together, own, 0.5)
    return LabelEnsemble(kept, together, own, _threshold(fitted, scores, labels, known))


def _calibrated(score: DoubleArray, label: IntArray) -> Calibration:
    """Platt's sigmoid of scores in any unit: of those that tell nothing, the prevalence whatever is said."""
    if is_constant(score):
        return Calibration(0.0, platt(np.zeros(len(score)), label).intercept)
    middle = float(score.mean())
    line = platt(score - middle, label)
    return Calibration(line.slope, line.intercept - line.slope * middle)


def _threshold(ensemble: LabelEnsemble, scores: DoubleArray, labels: IntArray, known: BoolArray) -> float:
    said = ensemble.together(ensemble.margin(scores))
    return matching_threshold(labels[known], said[known])
