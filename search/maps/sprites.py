"""Volumes as single pictures for a viewer: all sagittal slices side by side, as brainsprite reads them."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from io import BytesIO
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from data_prep.arrays import DoubleArray, IntArray

MOST_VOXELS: Final = 12_000_000
"""Of a viewer: each takes four bytes and more of a browser's memory in every layer."""

LEVELS: Final = 100
"""Steps between the least and the largest value of a layer, each of a colour of its own; 0 has no value."""

Bytes = npt.NDArray[np.uint8]
Box = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class Sampling:
    """Cubes, as the viewer needs them, that stand for the voxels of a box: each for the voxel at its centre.

    Attributes:
        rows: Canonical indices along each axis.
        edge: Of a cube in mm.
        affine: From cubes to the canonical voxels that a place in them has, shape (4, 4).
    """

    rows: tuple[IntArray, IntArray, IntArray]
    edge: float
    affine: DoubleArray

    @classmethod
    def of(cls, box: Box, voxel_size: DoubleArray, most: int = MOST_VOXELS) -> Sampling:
        """As fine as the finest edge of a voxel, or as `most` cubes allow."""
        lengths = np.array([part.stop - part.start for part in box]) * voxel_size
        edge = max(float(voxel_size.min()), float(np.prod(lengths) / most) ** (1 / 3))
        affine, rows = np.eye(4), []
        for axis, (part, size) in enumerate(zip(box, voxel_size, strict=True)):
            count = max(1, round((part.stop - part.start) * size / edge))
            step = (part.stop - part.start) / count
            rows.append(part.start + np.floor((np.arange(count) + 0.5) * step).astype(np.int64))
            affine[axis, axis], affine[axis, 3] = step, part.start + (step - 1) / 2
        return cls((rows[0], rows[1], rows[2]), edge, affine)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Cubes along each axis."""
        return (len(self.rows[0]), len(self.rows[1]), len(self.rows[2]))

    def taken(self, volume: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        """What a canonical volume has there."""
        return np.asarray(volume[np.ix_(*self.rows)])

    def at(self, place: npt.ArrayLike) -> DoubleArray:
        """Where a place, in canonical voxels, lies in cubes and parts of one, shape (3,)."""
        inverse = np.linalg.inv(self.affine)
        return np.asarray(inverse[:3, :3] @ np.asarray(place, dtype=np.float64) + inverse[:3, 3])

    def showing(self, place: npt.ArrayLike) -> list[tuple[int, int]] | None:
        """The first and last slice along each axis that show the voxel of a place; None where none does.

        Where cubes are larger than voxels it is the slice that the place lies in.
        """
        voxel, at = np.floor(np.asarray(place, dtype=np.float64) + 0.5), self.at(place)
        if (at < -0.5).any() or (at > np.array(self.shape) - 0.5).any():
            return None
        found = []
        for axis, rows in enumerate(self.rows):
            there = np.flatnonzero(rows == voxel[axis]).tolist() or [self.nearest(place)[axis]]
            found.append((there[0], there[-1]))
        return found

    def nearest(self, place: npt.ArrayLike) -> tuple[int, int, int]:
        """The cube that a place, in canonical voxels, lies in or nearest to."""
        bounded = np.clip(np.rint(self.at(place)), 0, np.array(self.shape) - 1).astype(int)
        return (int(bounded[0]), int(bounded[1]), int(bounded[2]))


def levels(values: npt.NDArray[np.generic], there: npt.NDArray[np.bool_], most: float) -> Bytes:
    """Values from 0 to `most` as 1 to 1 + `LEVELS`, 0 where there is none."""
    known = there & np.isfinite(values)
    share = np.clip(np.where(known, values, 0) / (most or 1.0), 0, 1)
    return np.asarray(np.where(known, 1 + np.rint(share * LEVELS), 0), dtype=np.uint8)


def sprite(volume: Bytes) -> Bytes:
    """Sagittal slices, back to front and top down, row by row from the left of the head; then 0."""
    nx, ny, nz = volume.shape
    rows = int(np.ceil(np.sqrt(nx)))
    columns = int(np.ceil(nx / rows))
    padded = np.zeros((rows * columns, ny, nz), dtype=np.uint8)
    padded[:nx] = volume
    tiles = padded[:, :, ::-1].transpose(0, 2, 1).reshape(rows, columns, nz, ny)
    return np.ascontiguousarray(tiles.transpose(0, 2, 1, 3).reshape(rows * nz, columns * ny))


def grey_uri(picture: Bytes) -> str:
    """A picture in grey as a data URI."""
    return _uri(Image.fromarray(picture))


def coloured_uri(picture: Bytes, colours: Bytes) -> str:
    """A picture of palette numbers as a data URI; what is 0 is transparent.

    Args:
        picture: Numbers, shape (height, width).
        colours: Of the numbers from 1 on, shape (n, 3).
    """
    image = Image.fromarray(picture).convert("P")
    image.putpalette(np.concatenate([np.zeros((1, 3), np.uint8), colours]).tobytes())
    return _uri(image, transparency=0)


def _uri(image: Image.Image, **options: int) -> str:
    stream = BytesIO()
    image.save(stream, format="png", compress_level=6, **options)
    return f"data:image/png;base64,{b64encode(stream.getvalue()).decode()}"
