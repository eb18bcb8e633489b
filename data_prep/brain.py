"""The brain mask of a visit, one bit a voxel, so that it can stay in memory while all images are read."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import nibabel.orientations
import numpy as np
import numpy.typing as npt

from data_prep.arrays import BoolArray
from data_prep.geometry import Grid
from data_prep.problems import InputError
from data_prep.volumes import Volume, slabs

# As a plain module, because its functions carry no annotations.
_ORIENTATIONS: ModuleType = nibabel.orientations


@dataclass(frozen=True, eq=False)
class BrainMask:
    """Where a mask is not zero.

    Attributes:
        grid: In whose stored order the bits are.
        bits: Shape (slices, bytes); a row is one slice along the last stored axis, its first axis fastest.
    """

    grid: Grid
    bits: npt.NDArray[np.uint8]

    def inside(self, start: int, count: int) -> BoolArray:
        """Which voxels of some slices are brain, shape (voxels,), the first stored axis fastest."""
        nx, ny, _ = self.grid.shape
        rows = np.unpackbits(self.bits[start : start + count], axis=1, count=nx * ny)
        return rows.view(np.bool_).ravel()

    def in_order_of(self, grid: Grid) -> BrainMask:
        """The mask as a file of the same voxels stores it, whose axes may run otherwise."""
        if np.array_equal(grid.orientation, self.grid.orientation):
            return self
        turn = _ORIENTATIONS.ornt_transform(self.grid.orientation, grid.orientation)
        stored = self.inside(0, self.grid.shape[2]).reshape(self.grid.shape, order="F")
        return BrainMask(grid, _packed(np.asarray(_ORIENTATIONS.apply_orientation(stored, turn))))


def read_brain(volume: Volume) -> BrainMask:
    """Read a brain mask.

    Raises:
        InputError: As `volumes.slabs`; or the mask is zero everywhere.
    """
    rows = [_packed(volume.scaled(slab) != 0) for _, slab in slabs(volume)]
    mask = BrainMask(volume.grid, np.concatenate(rows))
    if not mask.bits.any():
        raise InputError("a brain mask must be true somewhere, but it is zero everywhere.")
    return mask


def _packed(inside: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Bits of slices, shape (x, y, slices), as `BrainMask` keeps them."""
    return np.packbits(inside.reshape((-1, inside.shape[2]), order="F").T, axis=1)
