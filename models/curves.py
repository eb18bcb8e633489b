"""The numbers that are watched while a network trains."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

DoubleArray = npt.NDArray[np.float64]


def log_loss(logit: DoubleArray, label: npt.ArrayLike) -> float:
    """Mean binary cross-entropy of log-odds (n,) against labels 0 and 1 (n,), for log-odds of any size."""
    # softplus(logit) - label * logit, with neither exponent overflowing
    return float(np.mean(np.logaddexp(0.0, logit) - np.asarray(label, np.float64) * logit))


def mean_loss(output: DoubleArray, target: npt.ArrayLike, task: str) -> float:
    """What training minimises, over the targets that are known.

    Args:
        output: Log-odds, or in regression values: (n,) or (n, k).
        target: Labels or values of the same shape, NaN where one is not known.
        task: "classification": mean binary cross-entropy. "regression": mean squared error.
    """
    wanted = np.asarray(target, np.float64)
    known = ~np.isnan(wanted)
    if task == "regression":
        return float(np.mean((output[known] - wanted[known]) ** 2))
    return log_loss(output[known], wanted[known])


def roc_auc(score: DoubleArray, label: npt.ArrayLike) -> float | None:
    """Area under the ROC curve by mean ranks; None where one class is missing.

    References:
        Hanley and McNeil 1982: the area is the Mann-Whitney statistic, a tie counting half.
    """
    positive = np.asarray(label) > 0.5
    ones, zeros = int(positive.sum()), int((~positive).sum())
    if not ones or not zeros:
        return None
    _, place, count = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[place]
    return float((rank[positive].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def probability(logit: DoubleArray) -> DoubleArray:
    """The sigmoid in float64: probabilities stay apart where float32 would round them to one."""
    return np.exp(-np.logaddexp(0.0, -logit))
