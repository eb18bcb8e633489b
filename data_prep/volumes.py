"""NIfTI volumes: opened by their header, inflated slab by slab, and never trusted.

References:
    NIfTI-1.1 and NIfTI-2 headers; scl_slope and scl_inter scale stored values linearly.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import IO, Any

import isal.igzip
import isal.isal_zlib
import nibabel as nib
import numpy as np
import numpy.typing as npt
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from data_prep.arrays import DoubleArray, FloatArray
from data_prep.geometry import Grid
from data_prep.problems import InputError

# As plain modules, because their annotations are missing or wrong.
_IGZIP: ModuleType = isal.igzip
_ISAL_ZLIB: ModuleType = isal.isal_zlib

# What broken files raise on their way through nibabel, gzip and NumPy.
_BROKEN: tuple[type[Exception], ...] = (
    *(OSError, EOFError, ValueError, OverflowError, zlib.error),
    *(ImageFileError, HeaderDataError, _ISAL_ZLIB.error),
)

# deflate cannot shrink data more than 1032 times (zlib, "Technical Details"); a header that claims more would
# make us allocate memory for voxels the file cannot hold.
_MAX_RATIO = 1100

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
    try:
        image = nib.load(path)
        if not isinstance(image, nib.Nifti1Image):
            raise InputError(f"a NIfTI file is needed, but got {type(image).__name__}.")
        volume = _describe(path, image)
    except InputError:
        raise
    except _BROKEN as error:
        raise InputError(f"a readable NIfTI file is needed, but: {error}") from error
    _check_size(volume)
    return volume


def _describe(path: Path, image: nib.Nifti1Image) -> Volume:
    proxy: Any = image.dataobj
    header: Any = image.header
    shape = tuple(int(edge) for edge in proxy.shape)
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) != 3 or min(shape) < 1:
        raise InputError(f"a volume has three dimensions, but got shape {shape}.")
    if proxy.dtype.kind not in "iuf":
        raise InputError(f"voxels must be real numbers, but got {header.get_value_label('datatype')}.")
    affine = np.asarray(image.affine, dtype=np.float64)
    if not _is_invertible(affine):
        raise InputError(f"the affine must be invertible, but got {affine[:3].tolist()}.")
    grid = Grid((shape[0], shape[1], shape[2]), affine)
    placed = bool(header["sform_code"] > 0 or header["qform_code"] > 0)
    return Volume(path, grid, proxy.dtype, int(proxy.offset), float(proxy.slope), float(proxy.inter), placed)


def _is_invertible(affine: DoubleArray) -> bool:
    """Whether voxels have edges from 0.1 micrometre to 100 m that span a volume, within 1000 km."""
    if not np.all(np.abs(affine) < 1e9):
        return False
    edges = np.linalg.norm(affine[:3, :3], axis=0)
    if edges.min() < 1e-4 or edges.max() > 1e5:
        return False
    return bool(abs(np.linalg.det(affine[:3, :3] / edges)) > 1e-4)


def _check_size(volume: Volume) -> None:
    claimed = volume.offset + volume.grid.shape[0] * volume.grid.shape[1] * volume.grid.shape[2] * (
        volume.dtype.itemsize
    )
    size = volume.path.stat().st_size
    if claimed > size * (_MAX_RATIO if volume.path.suffix.lower() == ".gz" else 1):
        raise InputError(
            f"the file must hold the {claimed} bytes its header claims for shape {volume.grid.shape}, "
            f"but it is truncated or wrong: {size} bytes."
        )


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
        except _BROKEN as error:
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
    with _open(volume.path) as file:
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


def _open(path: Path) -> IO[bytes]:
    """The file's content, inflated by ISA-L, which is several times as fast as zlib and checks as much."""
    file: IO[bytes] = _IGZIP.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb")
    return file


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
