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

# Two headers describe one grid if no corner moves by more than this part of a voxel edge.
_SAME_GRID = 0.1


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
        return np.asarray(_ORIENTATIONS.io_orientation(self.affine), dtype=np.float64)

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


def same_grid(one: Grid, other: Grid, coordinates: Coordinates) -> bool:
    """Whether two files of one participant have their voxels at the same places.

    World coordinates let files of one grid differ in storage order; voxel coordinates are indices into the
    file as stored, so there the order must agree as well.
    """
    pairs = [(one.canonical_shape, other.canonical_shape, one.canonical_affine, other.canonical_affine)]
    if coordinates.space == "voxel":
        pairs.append((one.shape, other.shape, one.affine, other.affine))
    return all(
        shape == shape2 and _corner_shift(shape, affine, affine2) <= _SAME_GRID * one.voxel_size.min()
        for shape, shape2, affine, affine2 in pairs
    )


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
    # A coordinate beyond this is outside any volume, and its products would overflow.
    site = np.clip(np.asarray(position, dtype=np.float64), -1e9, 1e9)
    if coordinates.space == "voxel":
        return _round_half_up(site)
    sign = np.array([-1.0, -1.0, 1.0]) if coordinates.convention == "LPS" else np.ones(3)
    inverse = np.linalg.inv(grid.canonical_affine)
    canonical = _round_half_up(inverse[:3, :3] @ (sign * site) + inverse[:3, 3])
    to_stored = _ORIENTATIONS.inv_ornt_aff(grid.orientation, grid.shape)
    return _round_half_up(to_stored[:3, :3] @ canonical + to_stored[:3, 3])


def canonical_voxel(grid: Grid, stored: IntArray) -> IntArray:
    """The canonical index, shape (3,), of a voxel given by its index into the file as stored."""
    to_canonical = np.linalg.inv(_ORIENTATIONS.inv_ornt_aff(grid.orientation, grid.shape))
    return _round_half_up(np.asarray(to_canonical[:3, :3] @ stored + to_canonical[:3, 3], dtype=np.float64))


def _round_half_up(values: DoubleArray) -> IntArray:
    """Nearest integers, halves up.

    >>> _round_half_up(np.array([1.5, -0.5, 2.4999999]))
    array([2, 0, 3])
    """
    return np.clip(np.floor(np.round(values, _DECIMALS) + 0.5), -1e15, 1e15).astype(np.int64)
