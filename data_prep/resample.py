"""Cutting the neighbourhood of a site out of a canonical volume, on its own grid or on an isotropic one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_prep.arrays import BoolArray, DoubleArray, FloatArray, IntArray

# Weights of a cubic spline fall by 0.27 a voxel (Unser 1999): after 16 they are below float32's resolution.
_SPLINE_REACH = 16

_GAUSSIAN_REACH = 4.0

# Full width at half maximum of a Gaussian in units of its standard deviation.
_FWHM = 2.0 * np.sqrt(2.0 * np.log(2.0))

Coordinates3 = tuple[DoubleArray, DoubleArray, DoubleArray]


def steps(spacing_mm: float | None, voxel_size: DoubleArray) -> DoubleArray:
    """Distance between samples in voxels along each canonical axis, shape (3,); exactly 1 on the own grid."""
    if spacing_mm is None:
        return np.ones(3)
    ratio = spacing_mm / voxel_size
    # Voxel sizes come from single-precision headers.
    return np.where(np.abs(ratio - 1.0) < 1e-4, 1.0, ratio)


def sample_points(site: IntArray, step: DoubleArray, radius: int, slices: int) -> Coordinates3:
    """Canonical voxel coordinates of the samples along each axis, centred on the site's voxel.

    Args:
        site: Canonical voxel, shape (3,).
        step: As `steps` gives it.
        radius: In samples.
        slices: Odd number of axial slices.

    Returns:
        Arrays of length 2 * radius + 1, 2 * radius + 1 and slices.
    """
    in_plane = np.arange(-radius, radius + 1)
    across = np.arange(slices) - slices // 2
    return (site[0] + in_plane * step[0], site[1] + in_plane * step[1], site[2] + across * step[2])


def padding(points: Coordinates3, shape: tuple[int, int, int]) -> BoolArray:
    """Which samples lie beyond the outermost voxel centres, shape (edge, edge, slices)."""
    x, y, z = ((p >= -1e-6) & (p <= n - 1 + 1e-6) for p, n in zip(points, shape, strict=True))
    return ~(x[:, None, None] & y[None, :, None] & z[None, None, :])


@dataclass(frozen=True)
class Box:
    """Voxels `low` (inclusive) to `high` (exclusive) along each canonical axis, inside the volume."""

    low: tuple[int, int, int]
    high: tuple[int, int, int]


def neighbourhood(points: Coordinates3, step: DoubleArray, shape: tuple[int, int, int]) -> Box:
    """The voxels on which the intensities at the sample points depend.

    Args:
        points: As `sample_points` gives them.
        step: As `steps` gives it.
        shape: Of the canonical volume.
    """
    reach = np.zeros(3) if _is_native(step) else _SPLINE_REACH + np.ceil(_GAUSSIAN_REACH * _sigma(step))
    low = (max(0, int(np.floor(p[0] - r))) for p, r in zip(points, reach, strict=True))
    high = (min(n, int(np.ceil(p[-1] + r)) + 1) for p, r, n in zip(points, reach, shape, strict=True))
    (x, y, z), (x2, y2, z2) = low, high
    return Box((x, y, z), (x2, y2, z2))


def cut(
    near: FloatArray, box: Box, outside: BoolArray, points: Coordinates3, step: DoubleArray
) -> FloatArray:
    """The intensities at the sample points, 0 where they are padded.

    A step of 1 along all axes copies voxels. Otherwise a cubic spline is evaluated in the neighbourhood;
    where the step along an axis is longer than a voxel, a Gaussian first removes what the coarser grid cannot
    hold.

    Args:
        near: The voxels of `box`, canonical.
        box: As `neighbourhood` gives it.
        outside: As `padding` gives it.
        points: As `sample_points` gives them.
        step: As `steps` gives it.

    Returns:
        Shape (edge, edge, slices), a copy.

    References:
        Cardoso et al. 2015, "Scale factor point spread function matching": variance (step^2 - 1) / FWHM^2.
    """
    result = np.zeros(outside.shape, dtype=np.float32)
    if _is_native(step):
        result[~outside] = near.ravel()
        return result
    # Only here, because it takes as long to load as all the rest of a program that has its patches cached.
    from scipy.ndimage import gaussian_filter, map_coordinates

    smooth = gaussian_filter(near.astype(np.float64), _sigma(step), mode="nearest", truncate=_GAUSSIAN_REACH)
    where = np.meshgrid(*(p - start for p, start in zip(points, box.low, strict=True)), indexing="ij")
    values = map_coordinates(smooth, where, order=3, mode="nearest")
    result[~outside] = values[~outside]
    return result


def _is_native(step: DoubleArray) -> bool:
    return bool(np.all(step == 1.0))


def _sigma(step: DoubleArray) -> DoubleArray:
    """Of the Gaussian along each axis, in voxels."""
    return np.asarray(np.sqrt(np.maximum(step**2 - 1.0, 0.0)) / _FWHM, dtype=np.float64)
