"""A whole volume as a cubic spline, for those who ask for so many points that fitting it once pays.

The points of single patches are read from their neighbourhoods, by `resample.cut`. A spline of the whole
volume differs from those by no more than single precision: some 1e-7 of the intensities.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from data_prep.arrays import DoubleArray, FloatArray, IntArray
from data_prep.resample import smoothed

# Voxels that go on beyond the border, as SciPy has them for mode "nearest" where it filters by itself.
BEYOND: Final = 12


def fit_spline(voxels: FloatArray, step: DoubleArray) -> FloatArray:
    """Coefficients of the interpolating cubic B-spline, beyond whose border the outermost voxels go on.

    Args:
        voxels: A canonical volume.
        step: Edges in voxels of what a sample stands for, shape (3,); smoothed as by `resample.cut`.

    Returns:
        Shape of the volume with 12 voxels more at each end.
    """
    from scipy.ndimage import spline_filter

    padded = np.pad(smoothed(voxels, step), BEYOND, mode="edge")
    return np.asarray(spline_filter(padded, order=3, mode="nearest"), dtype=np.float32)


def read_spline(coefficients: FloatArray, points: DoubleArray) -> FloatArray:
    """The spline at some points.

    Args:
        coefficients: As `fit_spline` gives them.
        points: Canonical voxel coordinates, up to half a voxel beyond the outermost centres; shape (3, n).

    Returns:
        Shape (n,).
    """
    from scipy.ndimage import map_coordinates

    where = points + float(BEYOND)
    return np.asarray(
        map_coordinates(coefficients, where, np.float32, order=3, mode="nearest", prefilter=False)
    )


def read_lattices(coefficients: FloatArray, centres: IntArray, axes: Sequence[DoubleArray]) -> FloatArray:
    """The spline at the same lattice of points around many voxels, one axis after the other.

    As all centres are voxels, the weights of a lattice's points are the same for each of them.

    Args:
        coefficients: As `fit_spline` gives them.
        centres: Canonical voxels, shape (n, 3).
        axes: Offsets of the points along each axis, in voxels; lengths a, b and c.

    Returns:
        Shape (n, a, b, c); what lies farther than half a voxel beyond the border is of no meaning.
    """
    places, weights = [], []
    for axis, (offsets, size) in enumerate(zip(axes, coefficients.shape, strict=True)):
        taps = np.arange(np.floor(offsets.min()) - 1, np.floor(offsets.max()) + 3)
        at = centres[:, axis, None] + taps.astype(np.int64) + BEYOND
        places.append(np.clip(at, 0, size - 1))
        weights.append(_cubic(offsets[:, None] - taps).astype(np.float32))
    x, y, z = places
    near = coefficients[x[:, None, :, None], y[:, None, None, :], z[:, :, None, None]]
    along_y = np.moveaxis(near @ weights[1].T, 3, 2)
    along_x = np.moveaxis(along_y @ weights[0].T, 1, 3)
    return np.asarray((along_x @ weights[2].T).transpose(0, 2, 1, 3))


def _cubic(distance: DoubleArray) -> DoubleArray:
    """The cubic B-spline (Unser 1999, "Splines: a perfect fit for signal and image processing", eq. 4)."""
    apart = np.abs(distance)
    inner, outer = 2 / 3 - apart**2 + apart**3 / 2, np.maximum(2 - apart, 0) ** 3 / 6
    return np.where(apart < 1, inner, outer)
