"""The grid on which an image is sampled: 1 mm points, or boxes that average the continuous image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import numpy.typing as npt

from data_prep.arrays import DoubleArray, FloatArray, IntArray
from data_prep.phantom.spec import POINT, UNIT, PhantomSpec, Voxel


@dataclass(frozen=True)
class Lattice:
    """A grid that covers the field of view, its middle in the middle of the head.

    Attributes:
        size: Edge of the field of view in mm; coordinates in mm run from 0 to size - 1 on 1 mm points.
        voxel: Edges of a voxel; None for points that are 1 mm apart.
    """

    size: int
    voxel: Voxel | None

    @property
    def edges(self) -> Voxel:
        """Distances between voxels along x, y, z in mm."""
        return self.voxel or UNIT

    @property
    def box(self) -> Voxel:
        """Edges of the box that a voxel averages in mm; zeros for a point."""
        return self.voxel or POINT

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along x, y, z."""
        x, y, z = (int(np.floor(self.size / edge + 0.5)) for edge in self.edges)
        return x, y, z

    @cached_property
    def axes(self) -> tuple[DoubleArray, DoubleArray, DoubleArray]:
        """Middles of the voxels along x, y, z in mm."""
        x, y, z = (
            origin + edge * np.arange(count)
            for origin, edge, count in zip(self.origin, self.edges, self.shape, strict=True)
        )
        return x, y, z

    @property
    def origin(self) -> DoubleArray:
        """The middle of voxel (0, 0, 0) in mm, shape (3,)."""
        half = np.array(self.edges) * (np.array(self.shape) - 1) / 2
        return np.asarray((self.size - 1) / 2 - half, np.float64)

    @property
    def to_mm(self) -> DoubleArray:
        """From voxel indices to mm, shape (4, 4)."""
        matrix = np.diag([*self.edges, 1.0])
        matrix[:3, 3] = self.origin
        return matrix

    def nearest(self, places: DoubleArray) -> IntArray:
        """The voxels nearest to places in mm, shape (n, 3); halves round up."""
        return np.asarray(np.floor((places - self.origin) / np.array(self.edges) + 0.5), np.int64)

    def middles(self, places: DoubleArray) -> DoubleArray:
        """The middles of the nearest voxels in mm, shape (n, 3)."""
        return np.asarray(self.origin + np.array(self.edges) * self.nearest(places), np.float64)

    def wrapped(self, axes: Sequence[DoubleArray]) -> tuple[npt.NDArray[np.int64], ...]:
        """An index of the voxels at axes x, y, z in mm, those beyond the border from the other side."""
        parts = zip(axes, self.origin, self.edges, self.shape, strict=True)
        return np.ix_(*(np.rint((axis - at) / edge).astype(int) % count for axis, at, edge, count in parts))

    def sample(self, volume: FloatArray, shift: npt.ArrayLike = (0.0, 0.0, 0.0)) -> FloatArray:
        """What the grid sees of a volume that is known at 1 mm points.

        Between them it is linear, beyond the border constant; each box holds the exact mean of that.

        Args:
            volume: Shape (..., size, size, size).
            shift: Displacement (x, y, z) of the volume in mm.

        Returns:
            Shape (..., *shape).
        """
        if self.voxel is None and not np.any(shift):
            return volume
        moves = np.asarray(shift, float)
        x, y, z = (
            _averages(axis - move, edge, self.size)
            for axis, move, edge in zip(self.axes, moves, self.box, strict=True)
        )
        seen = np.einsum("...ijk,kc->...ijc", volume, z.T, optimize=True)
        seen = np.einsum("...ijc,jb->...ibc", seen, y.T, optimize=True)
        return np.asarray(np.einsum("...ibc,ia->...abc", seen, x.T, optimize=True), np.float32)


@cache
def lattice_of(spec: PhantomSpec, sequence: str | None = None) -> Lattice:
    """The grid of a sequence; that of masks and truth without one."""
    return Lattice(spec.size, spec.voxel_of(sequence) if sequence else spec.voxel)


def _averages(middles: DoubleArray, edge: float, size: int) -> DoubleArray:
    """Weights of 1 mm points in the means over intervals, shape (intervals, size); rows sum to 1."""
    low, high = middles - edge / 2, middles + edge / 2
    beyond = int(np.ceil(max(0.0, -low.min(), high.max() - (size - 1)))) + 1
    knots = np.arange(-beyond, size + beyond)
    if edge:
        weights = (_hat_integral(high[:, None] - knots) - _hat_integral(low[:, None] - knots)) / edge
    else:
        weights = np.clip(1 - np.abs(middles[:, None] - knots), 0, None)
    weights[:, beyond] += weights[:, :beyond].sum(axis=1)
    weights[:, -beyond - 1] += weights[:, -beyond:].sum(axis=1)
    return np.asarray(weights[:, beyond:-beyond], np.float64)


def _hat_integral(t: DoubleArray) -> DoubleArray:
    """The integral up to t of the hat that rises from -1 to 0 and falls to 1."""
    inner = np.clip(t, -1, 1)
    return np.asarray(0.5 + inner - np.sign(inner) * inner**2 / 2, np.float64)
