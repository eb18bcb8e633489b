"""Voxel grids in closest-canonical RAS order, and where a site lies in them.

A file stores its voxels in any of 48 axis orders. Ours is the order that runs closest to right, anterior,
superior, so that the same anatomy gives the same patch however it was stored.

References:
    NIfTI-1 header, "3D image (volume) orientation and location in space".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import Any

import nibabel.orientations
import numpy as np
import numpy.typing as npt

from data_prep.arrays import DoubleArray, IntArray
from data_prep.cohort_file import Coordinates

# As a plain module, because its functions carry no annotations.
_ORIENTATIONS: ModuleType = nibabel.orientations

# NIfTI stores affines in single precision: at 250 mm one unit in the last place is 3e-5 mm. A coordinate this
# close to a half counts as a half, so that all 48 ways of storing a grid round alike.
_DECIMALS = 4

# Likewise of what is not rounded to whole voxels: a thousandth of one, far below what any biopsy is known to,
# so that single precision hardly ever tells in a resampled patch.
_PLACE_DECIMALS = 3
_TURN_DECIMALS = 6

# Two headers describe one grid if no corner moves by more than this part of a voxel edge.
_SAME_GRID = 0.1

# A grid that is turned by exactly 45 degrees has two canonical orders that are equally close. It is looked at
# from 0.002 degrees aside, so that the choice does not hang on how the file was stored.
_ASIDE = np.eye(4)
_ASIDE[:3, :3] += 1e-5 * np.array([[0.0, -3.0, 2.0], [3.0, 0.0, -1.0], [-2.0, 1.0, 0.0]])

_CANONICAL = np.array([[0, 1], [1, 1], [2, 1]])


@dataclass(frozen=True, eq=False)
class Grid:
    """The voxel grid of one file.

    Attributes:
        shape: As stored.
        affine: Shape (4, 4), from stored voxel indices to millimetres in RAS; invertible.
    """

    shape: tuple[int, int, int]
    affine: DoubleArray

    @cached_property
    def orientation(self) -> DoubleArray:
        """Shape (3, 2): for each stored axis its canonical axis, and -1 where it runs backwards."""
        return np.asarray(_ORIENTATIONS.io_orientation(_ASIDE @ self.affine), dtype=np.float64)

    @cached_property
    def canonical_affine(self) -> DoubleArray:
        """Shape (4, 4), from canonical voxel indices to millimetres in RAS."""
        return np.asarray(
            self.affine @ _ORIENTATIONS.inv_ornt_aff(self.orientation, self.shape), dtype=np.float64
        )

    @cached_property
    def canonical_shape(self) -> tuple[int, int, int]:
        """Voxels along right, anterior, superior."""
        shape = [0, 0, 0]
        for stored, canonical in enumerate(self.orientation[:, 0].astype(int)):
            shape[canonical] = self.shape[stored]
        return (shape[0], shape[1], shape[2])

    @property
    def voxel_size(self) -> DoubleArray:
        """Edges of a voxel in mm along the canonical axes, shape (3,)."""
        return np.asarray(np.linalg.norm(self.canonical_affine[:3, :3], axis=0), dtype=np.float64)

    def to_canonical(self, volume: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """A view of a stored volume in canonical order."""
        return np.asarray(_ORIENTATIONS.apply_orientation(volume, self.orientation))

    def to_stored(self, volume: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """A view of a canonical volume in the order of the file."""
        turn = _ORIENTATIONS.ornt_transform(_CANONICAL, self.orientation)
        return np.asarray(_ORIENTATIONS.apply_orientation(volume, turn))


def same_grid(one: Grid, other: Grid, coordinates: Coordinates) -> bool:
    """Whether two files of one participant have their voxels at the same places.

    World coordinates let files of one grid differ in storage order; voxel coordinates are indices into the
    file as stored, so there the order must agree as well.
    """
    if not same_places(one, other):
        return False
    return coordinates.space == "world" or (
        one.shape == other.shape and _corner_shift(one.shape, one.affine, other.affine) <= _tolerance(one)
    )


def same_places(one: Grid, other: Grid) -> bool:
    """Whether two grids have their voxels at the same places, in whatever order they are stored."""
    shape = one.canonical_shape
    return shape == other.canonical_shape and _corner_shift(
        shape, one.canonical_affine, other.canonical_affine
    ) <= _tolerance(one)


def overlap(one: Grid, other: Grid) -> bool:
    """Whether two grids seem to share a place: seen along the axes of either, their boxes meet."""
    return _reaches(one, other) and _reaches(other, one)


def _reaches(one: Grid, other: Grid) -> bool:
    """Whether the box around one grid, along the axes of the other, meets the other's own."""
    turn, shift = between(one, other)
    corners = np.array([*np.ndindex(2, 2, 2)]) * np.array(one.canonical_shape) - 0.5
    seen = corners @ turn.T + shift
    ends = np.array(other.canonical_shape) - 0.5
    return bool(np.all(seen.min(axis=0) < ends) and np.all(seen.max(axis=0) > -0.5))


def between(one: Grid, other: Grid) -> tuple[DoubleArray, DoubleArray]:
    """From canonical voxels of one grid to those of another: `turn @ voxel + shift`.

    Returns:
        turn, shape (3, 3), and shift, shape (3,).
    """
    inverse = np.linalg.inv(other.canonical_affine[:3, :3])
    turn = np.round(inverse @ one.canonical_affine[:3, :3], _TURN_DECIMALS)
    shift = inverse @ (one.canonical_affine - other.canonical_affine)[:3, 3]
    return np.asarray(turn, dtype=np.float64), np.asarray(shift, dtype=np.float64)


def _tolerance(grid: Grid) -> float:
    return float(_SAME_GRID * grid.voxel_size.min())


def _corner_shift(shape: Sequence[int], one: DoubleArray, other: DoubleArray) -> float:
    corners = np.array([*np.ndindex(2, 2, 2)]) * (np.array(shape) - 1)
    return float(np.abs(corners @ (one - other)[:3, :3].T + (one - other)[:3, 3]).max())


def stored_voxel(grid: Grid, position: Sequence[float], coordinates: Coordinates) -> IntArray:
    """The voxel nearest to a site, as an index into the file as stored; it may lie outside.

    Halves round up: for voxel coordinates along the stored axes (the user's own frame), for world coordinates
    along the canonical axes, so that the choice does not hang on how the file was stored.

    Args:
        grid: The grid of the file.
        position: x, y, z as in biopsies.tsv.
        coordinates: How they are meant.

    Returns:
        Shape (3,).
    """
    if coordinates.space == "voxel":
        return nearest_voxel(_bounded(position))
    canonical = nearest_voxel(_canonical_of(grid, position, coordinates))
    to_stored = _ORIENTATIONS.inv_ornt_aff(grid.orientation, grid.shape)
    return nearest_voxel(to_stored[:3, :3] @ canonical + to_stored[:3, 3])


def canonical_voxel(grid: Grid, stored: IntArray) -> IntArray:
    """The canonical index, shape (3,), of a voxel given by its index into the file as stored."""
    to_canonical = np.linalg.inv(_ORIENTATIONS.inv_ornt_aff(grid.orientation, grid.shape))
    return nearest_voxel(np.asarray(to_canonical[:3, :3] @ stored + to_canonical[:3, 3], dtype=np.float64))


def canonical_position(grid: Grid, position: Sequence[float], coordinates: Coordinates) -> DoubleArray:
    """Where a site lies, in canonical voxels and parts of one; it may lie outside.

    Args:
        grid: The grid of the file.
        position: x, y, z as in biopsies.tsv.
        coordinates: How they are meant.

    Returns:
        Shape (3,), rounded as `rounded` does.
    """
    if coordinates.space == "world":
        return rounded(_canonical_of(grid, position, coordinates))
    to_canonical = np.linalg.inv(_ORIENTATIONS.inv_ornt_aff(grid.orientation, grid.shape))
    return rounded(np.asarray(to_canonical[:3, :3] @ _bounded(position) + to_canonical[:3, 3]))


def rounded(position: DoubleArray) -> DoubleArray:
    """Positions in voxels to a thousandth of one, which no way of storing the grid changes.

    >>> rounded(np.array([11.9999991, -0.0001]))
    array([12.,  0.])
    """
    return np.asarray(np.round(position, _PLACE_DECIMALS) + 0.0, dtype=np.float64)


def ras_sign(coordinates: Coordinates) -> DoubleArray:
    """What world coordinates are multiplied by to be RAS, or RAS to be as they are written; shape (3,)."""
    return np.array([-1.0, -1.0, 1.0]) if coordinates.convention == "LPS" else np.ones(3)


def _canonical_of(grid: Grid, position: Sequence[float], coordinates: Coordinates) -> DoubleArray:
    """Canonical voxels, and parts of one, of a site in world coordinates."""
    inverse = np.linalg.inv(grid.canonical_affine)
    place = ras_sign(coordinates) * _bounded(position)
    return np.asarray(inverse[:3, :3] @ place + inverse[:3, 3], dtype=np.float64)


def _bounded(position: Sequence[float]) -> DoubleArray:
    """A coordinate beyond this is outside any volume, and its products would overflow."""
    return np.clip(np.asarray(position, dtype=np.float64), -1e9, 1e9)


def nearest_voxel(values: DoubleArray) -> IntArray:
    """The voxels whose centres are nearest to positions in voxels, halves up.

    >>> nearest_voxel(np.array([1.5, -0.5, 2.4999999]))
    array([2, 0, 3])
    """
    return np.clip(np.floor(np.round(values, _DECIMALS) + 0.5), -1e15, 1e15).astype(np.int64)
