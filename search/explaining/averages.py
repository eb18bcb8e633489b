"""Means over biopsies, with errors that know that biopsies of a participant go together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_prep.arrays import DoubleArray, IntArray


@dataclass(frozen=True, eq=False)
class Average:
    """Means over the biopsies that have a value; NaN where none has.

    Attributes:
        mean: With signs; shape (...).
        error: Its standard error over participants; NaN where fewer than two have a value.
        absolute: Mean of the absolute values.
        absolute_error: Its standard error likewise.
        count: How many biopsies have a value.
    """

    mean: DoubleArray
    error: DoubleArray
    absolute: DoubleArray
    absolute_error: DoubleArray
    count: IntArray


def average(values: DoubleArray, participant: IntArray) -> Average:
    """The means of n biopsies.

    Args:
        values: Shape (n, ...), NaN where a biopsy has none.
        participant: An index per participant, shape (n,).
    """
    mean, error = clustered_mean(values, participant)
    absolute, absolute_error = clustered_mean(np.abs(values), participant)
    count = np.sum(~np.isnan(values), axis=0).astype(np.int64)
    return Average(mean, error, absolute, absolute_error, count)


def clustered_mean(values: DoubleArray, participant: IntArray) -> tuple[DoubleArray, DoubleArray]:
    """The mean over n biopsies, and its standard error when whole participants are drawn.

    With m the mean of N values and r_p the sum of x - m over the biopsies of participant p, one of P:
    `Var = P / (P - 1) sum_p r_p^2 / N^2`. With one biopsy each it is the textbook's, sd^2 / N.

    Args:
        values: Shape (n, ...), NaN where a biopsy has none.
        participant: An index per participant, shape (n,).

    Returns:
        Both of shape (...); NaN where nobody, and for the error fewer than two participants, have a value.

    References:
        Cochran 1977, "Sampling Techniques", section 9A: the ratio estimator over clusters.
    """
    known = ~np.isnan(values)
    count = known.sum(axis=0)
    _, code = np.unique(participant, return_inverse=True)
    people = np.zeros((code.max(initial=-1) + 1, *values.shape[1:]))
    np.add.at(people, code, known)
    having = (people > 0).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(count > 0, np.nansum(values, axis=0) / count, np.nan)
        rest = np.zeros_like(people)
        np.add.at(rest, code, np.where(known, values - mean, 0.0))
        variance = having / (having - 1.0) * (rest**2).sum(axis=0) / count**2
        error = np.sqrt(np.where(having > 1, variance, np.nan))
    return mean, error
