"""Samples of a canonical volume around a site: on its own voxels, or between them by a cubic spline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data_prep.arrays import BoolArray, DoubleArray, FloatArray

# Weights of a cubic spline fall by 0.27 a voxel (Unser 1999): after 16 they are below float32's resolution.
_SPLINE_REACH = 16

_GAUSSIAN_REACH = 4.0

# Full width at half maximum of a Gaussian in units of its standard deviation.
_FWHM = 2.0 * np.sqrt(2.0 * np.log(2.0))

# Voxel sizes come from single-precision headers.
_WHOLE = 1e-4
_STEP_DECIMALS = 6

# A voxel reaches half its edge beyond its centre.
_FACE = 0.5 + 1e-6


def steps(spacing_mm: float | None, voxel_size: DoubleArray) -> DoubleArray:
    """A distance in voxels along each canonical axis, shape (3,); exactly 1 for None, the grid's own."""
    if spacing_mm is None:
        return np.ones(3)
    return whole_where_close(spacing_mm / voxel_size)


def whole_where_close(step: DoubleArray) -> DoubleArray:
    """Steps of which those are exactly 1, 2, 3... that are but for single precision.

    >>> whole_where_close(np.array([0.5, 0.99999996, 3.0000002]))
    array([0.5, 1. , 3. ])
    """
    whole = np.maximum(np.round(step), 1.0)
    return np.where(np.abs(step - whole) < _WHOLE, whole, np.round(step, _STEP_DECIMALS))


def sample_points(
    centre: Sequence[float] | DoubleArray, step: DoubleArray, radius: int, slices: int
) -> tuple[DoubleArray, DoubleArray, DoubleArray]:
    """Canonical voxel coordinates of the samples along each axis.

    Args:
        centre: In canonical voxels, shape (3,).
        step: Between samples along each axis, in voxels.
        radius: In samples.
        slices: Odd number of axial slices.

    Returns:
        Arrays of length 2 * radius + 1, 2 * radius + 1 and slices.
    """
    in_plane = np.arange(-radius, radius + 1)
    across = np.arange(slices) - slices // 2
    return (centre[0] + in_plane * step[0], centre[1] + in_plane * step[1], centre[2] + across * step[2])


def padding(points: DoubleArray, shape: tuple[int, int, int]) -> BoolArray:
    """Which samples lie in no voxel, beyond the outermost faces.

    Args:
        points: Canonical voxel coordinates, shape (3, ...).
        shape: Of the canonical volume.

    Returns:
        Shape (...).
    """
    ends = np.reshape(shape, (3,) + (1,) * (points.ndim - 1)) - 1 + _FACE
    return np.asarray(~((points >= -_FACE) & (points <= ends)).all(axis=0))


@dataclass(frozen=True)
class Box:
    """Voxels `low` (inclusive) to `high` (exclusive) along each canonical axis, inside the volume."""

    low: tuple[int, int, int]
    high: tuple[int, int, int]


def neighbourhood(
    points: Sequence[DoubleArray] | DoubleArray, step: DoubleArray, shape: Sequence[int]
) -> Box:
    """The voxels on which the intensities at some points depend; at least one.

    Args:
        points: Their coordinates along each canonical axis, three arrays.
        step: Edges in voxels of what a sample stands for, shape (3,).
        shape: Of the canonical volume.
    """
    reach = np.zeros(3)
    if not are_voxels(points, step):
        reach = _SPLINE_REACH + np.ceil(_GAUSSIAN_REACH * _sigma(step))
    low, high = [], []
    for along, r, n in zip(points, reach, shape, strict=True):
        low.append(int(np.clip(np.floor(along.min() - r), 0, n - 1)))
        high.append(int(np.clip(np.ceil(along.max() + r) + 1, low[-1] + 1, n)))
    return Box((low[0], low[1], low[2]), (high[0], high[1], high[2]))


def cut(near: FloatArray, box: Box, outside: BoolArray, points: DoubleArray, step: DoubleArray) -> FloatArray:
    """The intensities at the sample points, 0 where they are padded.

    Points that are voxels are copied. Otherwise a cubic spline is evaluated in the neighbourhood, beyond
    whose border the outermost voxels go on; where a sample stands for more than a voxel along an axis, a
    Gaussian first removes what the coarser grid cannot hold.

    Args:
        near: The voxels of `box`, canonical.
        box: As `neighbourhood` gives it.
        outside: As `padding` gives it.
        points: Canonical voxel coordinates, shape (3, ...).
        step: Edges in voxels of what a sample stands for, shape (3,).

    Returns:
        Shape (...), a copy.

    References:
        Cardoso et al. 2015, "Scale factor point spread function matching": variance (step^2 - 1) / FWHM^2.
    """
    result = np.zeros(outside.shape, dtype=np.float32)
    where = points[:, ~outside] - np.reshape(box.low, (3, 1))
    if are_voxels(points, step):
        result[~outside] = near[tuple(where.astype(np.int64))]
        return result
    # Only here, because it takes as long to load as all the rest of a program that has its patches cached.
    from scipy.ndimage import map_coordinates

    result[~outside] = map_coordinates(smoothed(near, step), where, order=3, mode="nearest")
    return result


def smoothed(voxels: FloatArray, step: DoubleArray) -> DoubleArray:
    """What samples that each stand for more than a voxel are read from.

    Args:
        voxels: Beyond whose border the outermost ones go on.
        step: As in `cut`.
    """
    from scipy.ndimage import gaussian_filter

    exact = voxels.astype(np.float64)
    return np.asarray(gaussian_filter(exact, _sigma(step), mode="nearest", truncate=_GAUSSIAN_REACH))


def are_voxels(points: Sequence[DoubleArray] | DoubleArray, step: DoubleArray) -> bool:
    """Whether all points are centres of voxels, and stand for no more than those."""
    return not _sigma(step).any() and all(bool(np.all(along == np.rint(along))) for along in points)


def _sigma(step: DoubleArray) -> DoubleArray:
    """Of the Gaussian along each axis, in voxels."""
    return np.asarray(np.sqrt(np.maximum(step**2 - 1.0, 0.0)) / _FWHM, dtype=np.float64)
