"""Calibration: the line between the logit of what was predicted and that of what happened.

Intervals treat participants as clusters, by the sandwich estimate of the variance (Liang and Zeger 1986,
"Longitudinal data analysis using generalized linear models", with the factor I/(I-1) of I participants and
Student's t on I - 1 degrees of freedom).
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit
from scipy.stats import t as student
from sklearn.linear_model import LogisticRegression

from search.metrics import PROBABILITY_FLOOR, Doubles, Ints

Interval = tuple[float, float | None, float | None]
TOLERANCE = 1e-10


def logits(probability: Doubles) -> Doubles:
    """The logit of probabilities, these kept off 0 and 1 as the log loss keeps them."""
    clipped = np.clip(probability, PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR)
    return np.asarray(logit(clipped), dtype=np.float64)


def calibration_intercept(label: Ints, probability: Doubles, participant: Ints) -> Interval | None:
    """The a of `logit P(label = 1) = a + logit(probability)`: calibration in the large.

    0 where as many biopsies are positive as predicted; above 0 where more are.

    Args:
        label: 0 or 1, shape (n,).
        probability: Of label 1, shape (n,).
        participant: A number per participant, shape (n,).

    Returns:
        The intercept, and the ends of its 95 % interval (None with fewer than two participants); None where a
        class is missing.
    """
    if len(set(label.tolist())) < 2:
        return None
    x = logits(probability)
    centre = float(logit(label.mean()))

    def excess(a: float) -> float:
        return float(np.mean(label - expit(a + x)))

    # At these ends every predicted probability is above, or below, the share of positives.
    value = float(brentq(excess, centre - x.max() - 1, centre - x.min() + 1, xtol=TOLERANCE))
    return _clustered(np.ones((len(x), 1)), np.array([value]), x, label, participant)


def calibration_slope(label: Ints, probability: Doubles, participant: Ints) -> Interval | None:
    """The b of `logit P(label = 1) = a + b logit(probability)`, by logistic regression.

    1 where the probabilities are as far apart as they should be; below 1 where they are too sure; 0 where
    they say nothing.

    Args:
        label: 0 or 1, shape (n,).
        probability: Of label 1, shape (n,).
        participant: A number per participant, shape (n,).

    Returns:
        The slope, and the ends of its 95 % interval (None with fewer than two participants); None where no
        slope is the likeliest: a class is missing, the probabilities are all equal, or they separate the
        classes.
    """
    x = logits(probability)
    if not _overlap(x[label == 1], x[label == 0]):
        return None
    model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=TOLERANCE, max_iter=1000)
    spread = float(x.std())
    model.fit(x[:, None] / spread, label)
    slope, intercept = float(model.coef_[0, 0]) / spread, float(model.intercept_[0])
    design = np.column_stack([x, np.ones(len(x))])
    return _clustered(design, np.array([slope, intercept]), np.zeros(len(x)), label, participant)


def _overlap(positive: Doubles, negative: Doubles) -> bool:
    """Whether each class reaches beyond the other's nearest: else the likeliest slope is infinite."""
    if not len(positive) or not len(negative):
        return False
    return bool(negative.max() > positive.min() and positive.max() > negative.min())


def _clustered(
    design: Doubles, coefficient: Doubles, offset: Doubles, label: Ints, participant: Ints
) -> Interval:
    """The first coefficient and its interval.

    Args:
        design: Shape (n, coefficients).
        coefficient: The fitted ones.
        offset: What is added to the logit as it is, shape (n,).
        label: 0 or 1, shape (n,).
        participant: A number per participant, shape (n,).
    """
    predicted = expit(design @ coefficient + offset)
    who, code = np.unique(participant, return_inverse=True)
    count = len(who)
    if count < 2:
        return float(coefficient[0]), None, None
    bread = np.linalg.inv(design.T @ (design * (predicted * (1 - predicted))[:, None]))
    excess = (label - predicted) * design.T
    scores = np.column_stack([np.bincount(code, each, count) for each in excess])
    variance = (bread @ (scores.T @ scores) @ bread)[0, 0] * count / (count - 1)
    reach = float(student.ppf(0.975, count - 1)) * float(np.sqrt(variance))
    value = float(coefficient[0])
    return value, value - reach, value + reach
