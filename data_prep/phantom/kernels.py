"""Covariances of a Gaussian field that voxels have averaged, in closed form.

A voxel is the mean of the field over its box. Box and covariance `exp(-d^2 / 2 l^2)` are products over the
axes, so all that is needed is the mean over two intervals of one axis: antiderivatives of the Gaussian.
A normal displacement of variance t only replaces l^2 by l^2 + t and scales by `l / sqrt(l^2 + t)`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import erf

from data_prep.arrays import DoubleArray
from data_prep.phantom.spec import FieldModel


def interval_correlation(
    distance: DoubleArray, length: float, one: float = 0.0, other: float = 0.0, spread: float = 0.0
) -> DoubleArray:
    """Mean of `exp(-(d + u - v + e)^2 / 2 l^2)` over two intervals and a displacement e.

    Args:
        distance: d, between the middles of the intervals, in mm.
        length: l.
        one: Length of the interval of u; 0 for a point.
        other: Length of the interval of v.
        spread: Variance of e.

    Returns:
        An array of the shape of `distance`.
    """
    wide = float(np.hypot(length, np.sqrt(spread)))
    short, long = sorted((one, other))
    d = np.asarray(distance, float)
    if not long:
        mean = np.exp(-(d**2) / (2 * wide**2))
    elif not short:
        mean = (_once(d + long / 2, wide) - _once(d - long / 2, wide)) / long
    else:
        far, near = (long + short) / 2, (long - short) / 2
        ends = _twice(d + far, wide) - _twice(d + near, wide) - _twice(d - near, wide) + _twice(d - far, wide)
        mean = ends / (long * short)
    return np.asarray(length / wide * mean, dtype=np.float64)


def _once(t: DoubleArray, length: float) -> DoubleArray:
    """The integral of the Gaussian up to t, from 0."""
    return np.asarray(length * np.sqrt(np.pi / 2) * erf(t / (np.sqrt(2) * length)), dtype=np.float64)


def _twice(t: DoubleArray, length: float) -> DoubleArray:
    """An antiderivative of `_once`."""
    return np.asarray(t * _once(t, length) + length**2 * np.exp(-(t**2) / (2 * length**2)), dtype=np.float64)


def patch_axes(model: FieldModel) -> tuple[DoubleArray, DoubleArray]:
    """Offsets along x and y in mm of the voxels whose middles lie within the radius of the patch's."""
    x, y, _ = model.edges
    return _side(model.radius, x), _side(model.radius, y)


def _side(radius: float, edge: float) -> DoubleArray:
    most = int(radius / edge + 1e-9)
    return np.asarray(edge * np.arange(-most, most + 1), np.float64)


def patch_correlation(model: FieldModel, length: float) -> DoubleArray:
    """Correlation of a field of that length between the voxels of a patch, shape (voxels, voxels)."""
    axes = (*patch_axes(model), np.zeros(1))
    return product(
        [
            interval_correlation(axis[:, None] - axis, length, edge, edge)
            for axis, edge in zip(axes, model.box, strict=True)
        ]
    )


def site_correlation(model: FieldModel) -> DoubleArray:
    """Correlation of the field at the true site with the voxels of a patch, shape (voxels,).

    The patch is that of the voxel which holds the recorded site, and does not tell where in it: uniform over
    the same box, if voxels are boxes.
    """
    spread = model.site_sd**2
    axes = (*patch_axes(model), np.zeros(1))
    return product(
        [
            interval_correlation(axis, model.length, edge, edge, spread)
            for axis, edge in zip(axes, model.box, strict=True)
        ]
    )


def product(parts: Sequence[DoubleArray]) -> DoubleArray:
    """The Kronecker product of one array for each axis, x slowest."""
    whole: DoubleArray = np.ones((1,) * parts[0].ndim)
    for part in parts:
        whole = np.asarray(np.kron(whole, part), dtype=np.float64)
    return whole
