"""Histograms matched to a standard one, landmark by landmark.

References:
    Nyul and Udupa 1999, "On standardizing the MR image intensity scale"; Nyul, Udupa and Zhang 2000, "New
    variants of a method of MRI scale standardization": percentiles 1 and 99 as ends, deciles between them.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from data_prep.arrays import DoubleArray, FloatArray
from data_prep.intensity import LANDMARKS, Scale

PERCENTILES: Final = (1, 10, 20, 30, 40, 50, 60, 70, 80, 90, 99)
"""Where the landmarks of an image are taken."""

# Where the outer landmarks of the standard scale lie.
_ENDS: Final = (0.0, 100.0)


def landmarks(values: FloatArray) -> Scale:
    """The percentiles of an image, exact to single precision, as a scale that changes no intensity by itself.

    Args:
        values: Intensities that count, shape (n,); they may come back in another order.

    Returns:
        Location 0; spread 1, or 0 where the outer landmarks are equal or there are no values.
    """
    if not len(values):
        return Scale(spread=0.0)
    found = tuple(map(float, np.percentile(values, PERCENTILES, overwrite_input=True)))
    return Scale(0.0, 1.0 if found[-1] > found[0] else 0.0, found)


def standard_scale(images: npt.NDArray[np.floating]) -> DoubleArray:
    """The mean landmarks of some images, each first stretched so that its outer ones are 0 and 100.

    Args:
        images: The landmarks of each image, shape (images, `LANDMARKS`).

    Returns:
        Shape (`LANDMARKS`,), from 0 to 100; the percentiles of a uniform distribution where no image varies.
    """
    marks = np.asarray(images, dtype=np.float64).reshape(-1, LANDMARKS)
    extent = np.ptp(marks, axis=1)
    low, high = _ENDS
    if not (extent > 0).any():
        return np.interp(PERCENTILES, (PERCENTILES[0], PERCENTILES[-1]), _ENDS)
    varying = marks[extent > 0]
    stretched = (varying - varying[:, :1]) / np.ptp(varying, axis=1)[:, None]
    return np.asarray(low + (high - low) * stretched.mean(axis=0), dtype=np.float64)


def location_and_spread(standard: DoubleArray) -> tuple[float, float]:
    """Mean and standard deviation of a distribution with these landmarks, uniform between any two of them."""
    share = np.diff(PERCENTILES) / (PERCENTILES[-1] - PERCENTILES[0])
    low, high = standard[:-1], standard[1:]
    mean = float(share @ (low + high) / 2)
    square = float(share @ (low**2 + low * high + high**2) / 3)
    return mean, float(np.sqrt(square - mean**2))


def matched(values: FloatArray, marks: npt.NDArray[np.floating], standard: DoubleArray) -> FloatArray:
    """Intensities on the standard scale: linear between landmarks, and beyond them as between the outer two.

    Landmarks that are equal go to the middle of theirs. In an image whose landmarks are all equal, an
    intensity lies as many standard deviations of the scale from its mean as it lies units from them.

    Args:
        values: Intensities of the image, any shape.
        marks: Its landmarks.
        standard: As `standard_scale` gives it.
    """
    mine, place = np.unique(np.asarray(marks, dtype=np.float64), return_inverse=True)
    theirs = np.bincount(place, standard) / np.bincount(place)
    if len(mine) == 1:
        mean, spread = location_and_spread(standard)
        return np.asarray(mean + (values - mine[0]) * spread, dtype=np.float32)
    slope = np.diff(theirs) / np.diff(mine)
    segment = np.clip(np.searchsorted(mine, values, side="right") - 1, 0, len(slope) - 1)
    return np.asarray(theirs[segment] + (values - mine[segment]) * slope[segment], dtype=np.float32)
