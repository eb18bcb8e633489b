"""Grey levels: normalised intensities in bins whose edges are the same for all scans."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from data_prep.arrays import DoubleArray, FloatArray, IntArray

LEVELS = 16

# In units of the scan's spread. In tumours contrast-enhanced T1 and T2 pass 3, hardly anything passes 4.
LOWEST, HIGHEST = -4.0, 4.0


def grey_levels(normalised: FloatArray | DoubleArray) -> IntArray:
    """Levels 0 to 15 of intensities in units of a spread, in bins of half of one; any shape.

    Values beyond the outer edges get the outer levels.

    References:
        IBSI manual 2.7, fixed bin size discretisation, counted from 0.

    >>> grey_levels(np.array([-9.0, -4.0, -0.1, 0.0, 0.4, 0.5, 9.0]))
    array([ 0,  0,  7,  8,  8,  9, 15])
    """
    width = (HIGHEST - LOWEST) / LEVELS
    return np.clip(np.floor((normalised - LOWEST) / width), 0, LEVELS - 1).astype(np.int64)


def frequencies(codes: npt.NDArray[np.int64], count: int) -> DoubleArray:
    """How often each code from 0 to count - 1 occurs in each row.

    Args:
        codes: Shape (rows, values).
        count: Number of codes.

    Returns:
        Shape (rows, count).

    >>> frequencies(np.array([[0, 2, 2], [1, 1, 1]]), 3)
    array([[1., 0., 2.],
           [0., 3., 0.]])
    """
    rows = len(codes)
    apart = codes + count * np.arange(rows)[:, None]
    counted = np.bincount(apart.ravel(), minlength=rows * count)
    return counted.reshape(rows, count).astype(np.float64)
