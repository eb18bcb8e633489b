"""One pass over a volume that keeps only what is asked for: some boxes of voxels, and its scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from data_prep.arrays import FloatArray
from data_prep.brain import BrainMask
from data_prep.gauges import Gauge, gauge_of, varies
from data_prep.geometry import Grid
from data_prep.intensity import Scale
from data_prep.resample import Box
from data_prep.volumes import Volume, slabs


def read_boxes(
    volume: Volume, boxes: Sequence[Box], mask: BrainMask | None = None, method: str = "zscore"
) -> tuple[list[FloatArray], Scale]:
    """Read a volume to its end, a slab at a time.

    The scale is that of the voxels inside the brain mask where there is one, else of those that are not zero;
    where they do not vary (a mask used as a sequence), of all voxels, in another pass. A constant image has
    spread 1.

    Args:
        volume: The volume.
        boxes: In canonical voxels.
        mask: Of the same voxels, in any stored order.
        method: A name of `intensity.METHODS`.

    Returns:
        The voxels of each box, canonical, as float32; and the scale of the image by that method.

    Raises:
        InputError: As `volumes.slabs`.
    """
    keepers = [_Keeper.of(box, volume) for box in boxes]
    scale = _measured(volume, keepers, mask, method)
    return [volume.grid.to_canonical(volume.scaled(keeper.voxels)) for keeper in keepers], scale


def _measured(volume: Volume, keepers: Sequence[_Keeper], mask: BrainMask | None, method: str) -> Scale:
    """The scale of the image; the keepers take theirs in the first pass."""
    if method == "none":
        _pass(volume, keepers, None, None)
        return Scale()
    scale = Scale()
    for choice in _choices(mask, volume.grid):
        gauge = gauge_of(method)
        _pass(volume, keepers, choice, gauge)
        scale, keepers = gauge.scale(), ()
        if varies(scale):
            return scale
    return replace(scale, spread=1.0)


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


def _choices(mask: BrainMask | None, grid: Grid) -> list[_Choice]:
    """In the order in which they are tried."""
    inside = [] if mask is None else [_Choice(mask.in_order_of(grid))]
    return [*inside, _Choice(zeros=False), _Choice()]


def _pass(volume: Volume, keepers: Sequence[_Keeper], choice: _Choice | None, gauge: Gauge | None) -> None:
    for start, slab in slabs(volume):
        for keeper in keepers:
            keeper.take(start, slab)
        if choice is not None and gauge is not None:
            gauge.add(choice.values(volume, start, slab))


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
