"""One pass over a volume that keeps only what is asked for: some boxes of voxels, and the image's moments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from data_prep.arrays import FloatArray
from data_prep.brain import BrainMask
from data_prep.geometry import Grid
from data_prep.moments import Moments
from data_prep.resample import Box
from data_prep.volumes import Volume, slabs


def read_boxes(
    volume: Volume, boxes: Sequence[Box], mask: BrainMask | None = None, moments: bool = True
) -> tuple[list[FloatArray], tuple[float, float]]:
    """Read a volume to its end, a slab at a time.

    The moments are those by which an image is z-scored: taken inside the brain mask where there is one, else
    over the voxels that are not zero; where the image is constant there (a mask used as a sequence), over all
    voxels, in another pass. A constant image has standard deviation 1.

    Args:
        volume: The volume.
        boxes: In canonical voxels.
        mask: Of the same voxels, in any stored order.
        moments: Whether they are needed.

    Returns:
        The voxels of each box, canonical, as float32; and mean and standard deviation, (0, 1) if not needed.

    Raises:
        InputError: As `volumes.slabs`.
    """
    keepers = [_Keeper.of(box, volume) for box in boxes]
    first, *others = _choices(mask, volume.grid) if moments else [None]
    found = _pass(volume, keepers, first)
    while others and not _spreads(found):
        found = _pass(volume, [], others.pop(0))
    # What is kept of them has single precision.
    mean_and_std = (found.mean, found.std if _spreads(found) else 1.0)
    return [volume.grid.to_canonical(volume.scaled(keeper.voxels)) for keeper in keepers], mean_and_std


def _spreads(moments: Moments) -> bool:
    return bool(np.float32(moments.std) > 0)


@dataclass(frozen=True)
class _Choice:
    """Which voxels count: those inside a mask, those that are not zero, or all."""

    mask: BrainMask | None = None
    zeros: bool = True

    def values(self, volume: Volume, start: int, slab: npt.NDArray[Any]) -> FloatArray:
        """Intensities of the voxels that count, shape (n,); only those are scaled."""
        stored = slab.reshape(-1, order="F")
        if self.mask is not None:
            return volume.scaled(stored[self.mask.inside(start, slab.shape[2])])
        if self.zeros:
            return volume.scaled(stored)
        values = volume.scaled(stored[stored != 0] if volume.intercept == 0 else stored)
        return np.asarray(values[values != 0])


def _choices(mask: BrainMask | None, grid: Grid) -> list[_Choice | None]:
    """In the order in which they are tried."""
    inside = [] if mask is None else [_Choice(mask.in_order_of(grid))]
    return [*inside, _Choice(zeros=False), _Choice()]


def _pass(volume: Volume, keepers: Sequence[_Keeper], choice: _Choice | None) -> Moments:
    moments = Moments()
    for start, slab in slabs(volume):
        for keeper in keepers:
            keeper.take(start, slab)
        if choice is not None:
            moments.add(choice.values(volume, start, slab))
    return moments


@dataclass(frozen=True, eq=False)
class _Keeper:
    """Collects the voxels of one box as they pass by.

    Attributes:
        low: First stored voxel along each stored axis.
        voxels: As stored.
    """

    low: tuple[int, ...]
    voxels: npt.NDArray[Any]

    @classmethod
    def of(cls, box: Box, volume: Volume) -> _Keeper:
        low, shape = [], []
        for size, (axis, direction) in zip(volume.grid.shape, volume.grid.orientation, strict=True):
            start, stop = box.low[int(axis)], box.high[int(axis)]
            low.append(start if direction > 0 else size - stop)
            shape.append(stop - start)
        return cls(tuple(low), np.empty(shape, dtype=volume.dtype))

    def take(self, start: int, slab: npt.NDArray[Any]) -> None:
        x, y, z = self.low
        nx, ny, nz = self.voxels.shape
        first, last = max(start, z), min(start + slab.shape[2], z + nz)
        if first < last:
            part = slab[x : x + nx, y : y + ny, first - start : last - start]
            self.voxels[:, :, first - z : last - z] = part
