"""Volumes of one grid side by side in memory, laid out so that windows are few pieces of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_prep.arrays import FloatArray, IntArray


@dataclass(frozen=True)
class Window:
    """What is cut around a voxel.

    Attributes:
        radius: In voxels, in the plane.
        slices: Odd number.
        apart: Slices of the grid from one to the next.
    """

    radius: int = 0
    slices: int = 1
    apart: int = 1

    @property
    def edge(self) -> int:
        """In voxels."""
        return 2 * self.radius + 1

    @property
    def reach(self) -> tuple[int, int, int]:
        """Voxels on either side of the middle, along the canonical axes."""
        return (self.radius, self.radius, self.slices // 2 * self.apart)


class Stack:
    """Some volumes, and zeros as far as windows reach beyond the grid.

    Slices stand first and the volumes last, with the second axis before them: a row of a window is one piece.

    Args:
        shape: Canonical, of the grid.
        count: How many volumes.
        window: What will be cut.
    """

    def __init__(self, shape: tuple[int, int, int], count: int, window: Window) -> None:
        self._shape, self._window = shape, window
        nx, ny, nz = (size + 2 * reach for size, reach in zip(shape, window.reach, strict=True))
        self._voxels = np.zeros((nz, nx, ny, count), dtype=np.float32)

    def volume(self, place: int) -> FloatArray:
        """A view of one of them, canonical."""
        x, y, z = (slice(r, r + size) for size, r in zip(self._shape, self._window.reach, strict=True))
        return self._voxels[z, x, y, place].transpose(1, 2, 0)

    def put(self, place: int, voxels: FloatArray, shift: IntArray) -> None:
        """Take in a volume; where it ends within the grid there are zeros.

        Args:
            place: Which one it is.
            voxels: Canonical.
            shift: Its voxel that the grid's first one is, shape (3,).
        """
        mine, theirs = [], []
        for size, n, first in zip(self._shape, voxels.shape, shift.tolist(), strict=True):
            low, high = max(0, -first), min(size, n - first)
            mine.append(slice(low, max(low, high)))
            theirs.append(slice(low + first, max(low, high) + first))
        self.volume(place)[tuple(mine)] = voxels[tuple(theirs)]

    def cut(self, voxels: IntArray) -> FloatArray:
        """The windows around canonical voxels of the grid, a copy.

        Args:
            voxels: Shape (m, 3).

        Returns:
            Shape (m, edge, edge, slices, count).
        """
        size = (self._window.edge, self._window.edge)
        windows = np.lib.stride_tricks.sliding_window_view(self._voxels, size, axis=(1, 2))
        planes = windows.transpose(0, 1, 2, 4, 5, 3)
        x, y, z = voxels.T
        if self._window.slices == 1:
            return np.asarray(planes[z, x, y][:, :, :, None])
        above = np.arange(self._window.slices) * self._window.apart
        return np.stack([planes[z + by, x, y] for by in above.tolist()], axis=3)
