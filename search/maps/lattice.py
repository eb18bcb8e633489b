"""Which voxels of a region a model is asked about, and what the others get.

With a stride of N these are every Nth voxel along each axis of the region's box and its last. A voxel between
them is interpolated from the corners of its cell if all that count are known. Corners outside the region are
never asked about, so at its border a voxel takes what the nearest known one has; one with no corner in the
region at all (thin parts, islands smaller than a cell) is asked about itself. Nothing is interpolated across
what is not known.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.interpolate import RegularGridInterpolator
from scipy.spatial import cKDTree

from data_prep.arrays import BoolArray, DoubleArray, IntArray

_AT_ONCE = 500_000  # voxels that are interpolated together


@dataclass(frozen=True, eq=False)
class Lattice:
    """A region, and the voxels of it that are asked about.

    Attributes:
        voxels: All of the region, canonical, shape (n, 3), in the order of `numpy.argwhere`.
        asked: Rows of `voxels` that are asked about, rising, shape (m,).
        interpolated: Which of `voxels` lie between known corners alone, shape (n,).
        axes: Canonical indices of the lattice along each axis.
        voxel_size: In mm, shape (3,).
    """

    voxels: IntArray
    asked: IntArray
    interpolated: BoolArray
    axes: tuple[IntArray, IntArray, IntArray]
    voxel_size: DoubleArray

    @classmethod
    def of(cls, inside: BoolArray, stride: int, voxel_size: DoubleArray) -> Lattice:
        """Lay the lattice.

        Args:
            inside: The region, canonical; true somewhere.
            stride: In voxels, at least 1.
            voxel_size: In mm, shape (3,).
        """
        voxels = np.argwhere(inside)
        axes = tuple(_steps(int(low), int(high), stride) for low, high in _box(voxels))
        of_some, of_all = np.zeros(len(voxels), bool), np.ones(len(voxels), bool)
        for corner in _corners(voxels, axes):
            known = inside[tuple(corner)]
            of_some |= known
            of_all &= known
        asked = np.flatnonzero(_on(voxels, axes) | ~of_some)
        return cls(voxels, asked, of_all, (axes[0], axes[1], axes[2]), voxel_size)

    def between(self, values: DoubleArray) -> DoubleArray:
        """What every voxel has, by what the asked ones have.

        Args:
            values: Of the voxels asked about, shape (m, C); NaN where nothing is known.

        Returns:
            Shape (n, C): linear between known corners, else of the nearest known voxel; where a voxel was
            asked about, its own.
        """
        known = np.asarray(np.isfinite(values).all(axis=1))
        if not known.any():
            return np.full((len(self.voxels), values.shape[1]), np.nan)
        found = values[known][self._nearest(known)]
        interpolate = RegularGridInterpolator(self.axes, self._nodes(values))
        wanted = np.flatnonzero(self.interpolated)
        for start in range(0, len(wanted), _AT_ONCE):
            rows = wanted[start : start + _AT_ONCE]
            between = interpolate(self.voxels[rows])
            sound = np.isfinite(between).all(axis=1)
            found[rows[sound]] = between[sound]
        found[self.asked] = values
        return found

    def nearest(self) -> IntArray:
        """For each voxel the nearest in mm that was asked about, as a row of `asked`; shape (n,)."""
        return self._nearest(np.ones(len(self.asked), bool))

    def _nearest(self, known: BoolArray) -> IntArray:
        """The same among some of `asked`, as a row of these."""
        places = self.voxels * self.voxel_size
        return np.asarray(cKDTree(places[self.asked[known]]).query(places)[1], dtype=np.int64)

    def _nodes(self, values: DoubleArray) -> DoubleArray:
        """The values on the lattice; 0 outside the region, whose corners never count."""
        nodes = np.zeros((*map(len, self.axes), values.shape[1]))
        places = self.voxels[self.asked]
        on = _on(places, self.axes)
        where = tuple(np.searchsorted(axis, places[on, n]) for n, axis in enumerate(self.axes))
        nodes[where] = values[on]
        return nodes


def _box(voxels: IntArray) -> Iterator[tuple[int, int]]:
    return zip(voxels.min(axis=0), voxels.max(axis=0), strict=True)


def _steps(low: int, high: int, stride: int) -> IntArray:
    return np.unique(np.append(np.arange(low, high + 1, stride), high))


def _on(voxels: IntArray, axes: tuple[IntArray, ...]) -> BoolArray:
    """Which voxels are nodes of the lattice, shape (n,)."""
    return np.asarray(np.stack([np.isin(voxels[:, n], axis) for n, axis in enumerate(axes)]).all(axis=0))


def _corners(voxels: IntArray, axes: tuple[IntArray, ...]) -> Iterator[list[IntArray]]:
    """The corners of each voxel's cell, eight times one a voxel; for one without weight stands another."""
    ends: list[tuple[IntArray, IntArray]] = []
    for number, axis in enumerate(axes):
        below = np.searchsorted(axis, voxels[:, number], side="right") - 1
        above = np.where(axis[below] == voxels[:, number], below, below + 1)
        ends.append((axis[below], axis[above]))
    for which in product((0, 1), repeat=3):
        yield [pair[end] for pair, end in zip(ends, which, strict=True)]
