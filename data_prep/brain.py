"""The mask of a visit, one bit a voxel, so that it can stay in memory while all images are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from data_prep.arrays import BoolArray
from data_prep.geometry import Grid, between, nearest_voxel, same_places
from data_prep.problems import InputError
from data_prep.volumes import Volume, slabs


@dataclass(frozen=True, eq=False)
class BrainMask:
    """Where a mask is not zero.

    Attributes:
        grid: In whose stored order the bits are.
        bits: Shape (slices, bytes); a row is one slice along the last stored axis, its first axis fastest.
        name: What it is a mask of.
    """

    grid: Grid
    bits: npt.NDArray[np.uint8]
    name: str = "brain"

    def inside(self, start: int, count: int) -> BoolArray:
        """Which voxels of some slices are brain, shape (voxels,), the first stored axis fastest."""
        nx, ny, _ = self.grid.shape
        rows = np.unpackbits(self.bits[start : start + count], axis=1, count=nx * ny)
        return rows.view(np.bool_).ravel()

    def in_order_of(self, grid: Grid) -> BrainMask:
        """The mask as a file on another grid would store it.

        Where the voxels have the same places, only their order changes; else each is what the mask's voxel
        nearest to its centre is, and no brain beyond the mask.

        Raises:
            InputError: The mask is zero at all voxels of another grid.
        """
        is_same = same_places(self.grid, grid)
        if is_same and np.array_equal(grid.orientation, self.grid.orientation):
            return self
        mask = self.canonical()
        if not is_same:
            mask = self._nearest(mask, grid)
            if not mask.any():
                raise InputError(
                    f"some {self.name} is needed, but the {self.name} mask lies elsewhere. Registered?"
                )
        return BrainMask(grid, _packed(grid.to_stored(mask)), self.name)

    def canonical(self) -> BoolArray:
        """The mask as a canonical volume."""
        stored = self.inside(0, self.grid.shape[2]).reshape(self.grid.shape, order="F")
        return np.asarray(self.grid.to_canonical(stored))

    def _nearest(self, mask: BoolArray, grid: Grid) -> BoolArray:
        """The canonical mask at the canonical voxels of another grid, a plane of them at a time."""
        turn, shift = between(grid, self.grid)
        nx, ny, nz = grid.canonical_shape
        ends = np.reshape(mask.shape, (3, 1, 1))
        in_plane = turn[:, 0, None, None] * np.arange(nx)[:, None] + turn[:, 1, None, None] * np.arange(ny)
        seen = np.zeros((nx, ny, nz), dtype=np.bool_)
        for z in range(nz):
            voxel = nearest_voxel(in_plane + (turn[:, 2] * z + shift)[:, None, None])
            inside = ((voxel >= 0) & (voxel < ends)).all(axis=0)
            seen[inside, z] = mask[tuple(voxel[:, inside])]
        return seen


def read_brain(volume: Volume, name: str = "brain") -> BrainMask:
    """Read a mask.

    Args:
        volume: The file.
        name: What it is a mask of, as it is called in problems.

    Raises:
        InputError: As `volumes.slabs`; or the mask is zero everywhere.
    """
    rows = [_packed(volume.scaled(slab) != 0) for _, slab in slabs(volume)]
    mask = BrainMask(volume.grid, np.concatenate(rows), name)
    if not mask.bits.any():
        raise InputError(f"a {name} mask must be true somewhere, but it is zero everywhere.")
    return mask


def _packed(inside: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Bits of slices, shape (x, y, slices), as `BrainMask` keeps them."""
    return np.packbits(inside.reshape((-1, inside.shape[2]), order="F").T, axis=1)
