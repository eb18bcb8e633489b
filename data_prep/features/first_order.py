"""First-order statistics: how the intensities of a patch are distributed, wherever they lie.

References:
    Image Biomarker Standardisation Initiative, reference manual: 3.3 intensity-based statistics, 3.4
    intensity histogram (entropy and uniformity).
"""

from __future__ import annotations

import numpy as np
from scipy.special import entr

from data_prep.arrays import BoolArray, DoubleArray
from data_prep.features.levels import LEVELS, frequencies, grey_levels

_PERCENTILES = {"minimum": 0, "p10": 10, "p25": 25, "median": 50, "p75": 75, "p90": 90, "maximum": 100}


def first_order(values: DoubleArray) -> dict[str, DoubleArray]:
    """Statistics of each row; a constant row has skewness and kurtosis 0.

    Standard deviation and moments divide by the number of values, kurtosis is the excess over a normal's,
    percentiles are interpolated linearly, energy is the sum of squares.

    Args:
        values: Normalised intensities, shape (rows, values), at least 3 a row.

    Returns:
        Each statistic by name, shape (rows,); entropy in bits.
    """
    order = dict(zip(_PERCENTILES, np.percentile(values, [*_PERCENTILES.values()], axis=1), strict=True))
    share = frequencies(grey_levels(values), LEVELS) / values.shape[1]
    return {
        **_moments(values),
        **order,
        "range": order["maximum"] - order["minimum"],
        "iqr": order["p75"] - order["p25"],
        "mad": _mean_deviation(values, np.ones(values.shape, dtype=bool)),
        "robust_mad": _mean_deviation(values, _between(values, order["p10"], order["p90"])),
        "energy": (values**2).sum(axis=1),
        "entropy": entr(share).sum(axis=1) / np.log(2),
        "uniformity": (share**2).sum(axis=1),
    }


def _moments(values: DoubleArray) -> dict[str, DoubleArray]:
    mean = values.mean(axis=1)
    deviation = values - mean[:, None]
    # Of equal values only the mean's rounding error would be left, and its ratios are anything.
    deviation[np.ptp(values, axis=1) == 0] = 0
    squared = deviation**2
    variance = squared.mean(axis=1)
    spread = np.where(variance > 0, variance, 1.0)
    return {
        "mean": mean,
        "sd": np.sqrt(variance),
        "skewness": (squared * deviation).mean(axis=1) / spread**1.5,
        "kurtosis": np.where(variance > 0, (squared**2).mean(axis=1) / spread**2 - 3, 0.0),
    }


def _between(values: DoubleArray, low: DoubleArray, high: DoubleArray) -> BoolArray:
    return (values >= low[:, None]) & (values <= high[:, None])


def _mean_deviation(values: DoubleArray, counted: BoolArray) -> DoubleArray:
    """Mean absolute deviation of the values that count from their mean, shape (rows,)."""
    mean = np.mean(values, axis=1, where=counted)
    return np.asarray(np.mean(np.abs(values - mean[:, None]), axis=1, where=counted), dtype=np.float64)
