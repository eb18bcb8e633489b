"""Stationary Gaussian random fields with covariance `exp(-d^2 / 2 l^2)`, known at every point of space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from data_prep.arrays import DoubleArray, FloatArray

_PADDING = 6.0  # correlation lengths between the box and its periodic image: the wrapped covariance is 2e-8
_CUTOFF = 5.0  # standard deviations of the Gaussian spectrum kept: 6e-7 of the variance is left out


@dataclass(frozen=True)
class GaussianField:
    """A unit Gaussian random field on a box, by circulant embedding.

    The covariance is a product over the axes, so the eigenvectors of the periodic embedding are products of
    sines and cosines. Kept as their coefficients, the field can be read anywhere: a shift by half a voxel is
    exact.

    Attributes:
        coefficients: Independent standard normal numbers, shape (m, m, m).
        length: Correlation length in mm.
        period: Edge of the periodic box in mm.

    References:
        Dietrich and Newsam 1997, "Fast and exact simulation of stationary Gaussian processes through
        circulant embedding of the covariance matrix".
    """

    coefficients: FloatArray
    length: float
    period: float

    def at(
        self, x: npt.ArrayLike, y: npt.ArrayLike, z: npt.ArrayLike, *, box: Sequence[float] = (0.0, 0.0, 0.0)
    ) -> FloatArray:
        """The field on the grid that three axes span, at points or as the mean over boxes.

        Args:
            x: Coordinates in mm, shape (a,).
            y: Coordinates in mm, shape (b,).
            z: Coordinates in mm, shape (c,).
            box: Edges of the boxes around these points in mm.

        Returns:
            Values of shape (a, b, c); the mean over a box is exact.
        """
        along_x, along_y, along_z = (
            _modes(axis, self.length, self.period, edge) for axis, edge in zip((x, y, z), box, strict=True)
        )
        values = along_y @ (self.coefficients @ along_z.T)
        # Summed in double precision: the order that a BLAS or its threads choose must not show in a file.
        return np.asarray(np.tensordot(along_x, values, axes=1), np.float32)


def draw_field(size: int, length: float, rng: np.random.Generator) -> GaussianField:
    """Draw a field for a box of `size` mm with the given correlation length in mm."""
    period = size + _PADDING * length
    modes = 2 * _frequencies(length, period) + 1
    return GaussianField(rng.standard_normal((modes,) * 3, dtype=np.float32), length, period)


def _frequencies(length: float, period: float) -> int:
    return int(np.ceil(_CUTOFF * period / (2 * np.pi * length)))


def _modes(axis: npt.ArrayLike, length: float, period: float, edge: float) -> DoubleArray:
    """Sines and cosines scaled by the root of their eigenvalue, shape (points, m); rows have unit norm.

    Averaged over an interval, each is multiplied by the sinc of its frequency times the interval.
    """
    k = np.arange(_frequencies(length, period) + 1)
    eigenvalues = np.exp(-2 * (np.pi * length * k / period) ** 2) * np.where(k == 0, 1, 2)
    scale = np.sqrt(eigenvalues / eigenvalues.sum()) * np.sinc(edge * k / period)
    phase: npt.NDArray[Any] = 2 * np.pi / period * np.multiply.outer(np.asarray(axis, float), k)
    return np.hstack([scale * np.cos(phase), scale[1:] * np.sin(phase[:, 1:])])
