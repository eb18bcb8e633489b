"""NIfTI volumes: opened by their header, inflated slab by slab, and never trusted.

References:
    NIfTI-1.1 and NIfTI-2 headers; scl_slope and scl_inter scale stored values linearly.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data_prep import nifti
from data_prep.arrays import FloatArray
from data_prep.geometry import Grid
from data_prep.problems import InputError

# Small enough to stay in a core's cache between being inflated and being looked at.
_SLAB_BYTES = 2**19


@dataclass(frozen=True, eq=False)
class Volume:
    """A NIfTI file whose header was read.

    Attributes:
        path: The file.
        grid: Its voxel grid.
        dtype: As stored, with byte order.
        offset: Bytes before the first voxel, after decompression.
        slope: Stored values times this
        intercept: plus this are the intensities.
        placed: Whether the header says where the grid lies in the world (sform or qform code not 0).
    """

    path: Path
    grid: Grid
    dtype: np.dtype[Any]
    offset: int
    slope: float
    intercept: float
    placed: bool

    def scaled(self, stored: npt.NDArray[Any]) -> FloatArray:
        """Intensities of stored values: scaled in float64 as by `get_fdata`, then rounded once."""
        if self.slope != 1.0 or self.intercept != 0.0:
            stored = stored.astype(np.float64)
            stored *= self.slope
            stored += self.intercept
        with np.errstate(over="ignore"):
            return stored.astype(np.float32, copy=False)


def open_volume(path: Path) -> Volume:
    """Read the header of a volume, and hold what it claims against the size of the file.

    Raises:
        InputError: Not a readable three-dimensional NIfTI of real numbers; without the file's name.
    """
    header = nifti.read_header(path)
    shape, dtype, offset = nifti.shape_of(header), nifti.dtype_of(header), nifti.offset_of(header)
    nifti.check_size(path, offset + shape[0] * shape[1] * shape[2] * dtype.itemsize, shape)
    placed = bool(header["sform_code"] > 0 or header["qform_code"] > 0)
    slope, intercept = nifti.scaling_of(header)
    return Volume(path, Grid(shape, nifti.affine_of(header)), dtype, offset, slope, intercept, placed)


def slabs(volume: Volume) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    """The stored voxels, half a mebibyte at a time, and the checks of a whole reading.

    Yields:
        Index of the first slice along the last, slowest axis, and the slices as stored, not scaled, shape
        (x, y, slices), in Fortran order, read-only.

    Raises:
        InputError: At the latest after the last slab: the file is truncated, damaged, or holds NaN or what is
            infinite as float32; without the file's name.
    """
    finite = _is_always_finite(volume)
    unusable = 0
    parts = _parts(volume)
    while True:
        try:
            part = next(parts, None)
        except nifti.BROKEN as error:
            raise InputError(
                f"the volume must be readable to its end, but it is truncated or damaged: {error}"
            ) from error
        if part is None:
            break
        if not finite:
            unusable += _count_unusable(volume, part[1])
        yield part
    if unusable:
        size = int(np.prod(volume.grid.shape))
        raise InputError(f"voxels must be finite, but {unusable} of {size} are NaN or infinite.")


def _parts(volume: Volume) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    nx, ny, nz = volume.grid.shape
    plane = nx * ny * volume.dtype.itemsize
    step = max(1, _SLAB_BYTES // plane)
    with nifti.open_inflated(volume.path) as file:
        file.seek(volume.offset)
        for start in range(0, nz, step):
            count = min(step, nz - start)
            raw = file.read(count * plane)
            if len(raw) < count * plane:
                raise EOFError(
                    f"{nz} slices were expected, but the data end in slice {start + len(raw) // plane}"
                )
            yield start, np.frombuffer(raw, dtype=volume.dtype).reshape((nx, ny, count), order="F")
        # Reading past the end makes gzip compare its checksum.
        file.read(1)


def _is_always_finite(volume: Volume) -> bool:
    """Whether no value that can be stored overflows float32 when it is scaled."""
    if volume.dtype.kind not in "iu":
        return False
    bounds = np.iinfo(volume.dtype)
    return bool(np.isfinite(volume.scaled(np.array([bounds.min, bounds.max], dtype=volume.dtype))).all())


def _count_unusable(volume: Volume, slab: npt.NDArray[Any]) -> int:
    """Number of voxels that are not finite; NaN comes through minimum and maximum."""
    ends = volume.scaled(np.array([slab.min(), slab.max()]))
    if np.isfinite(ends).all():
        return 0
    return int(np.count_nonzero(~np.isfinite(volume.scaled(slab))))


def read_volume(volume: Volume) -> FloatArray:
    """Read all voxels, as a canonical view of a float32 array.

    Returns:
        Shape `volume.grid.canonical_shape`, finite, equal to `image.get_fdata().astype(np.float32)`.

    Raises:
        InputError: As `slabs`.
    """
    voxels = np.empty(volume.grid.shape, dtype=np.float32, order="F")
    for start, slab in slabs(volume):
        voxels[:, :, start : start + slab.shape[2]] = volume.scaled(slab)
    return volume.grid.to_canonical(voxels)
