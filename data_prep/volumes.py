"""NIfTI volumes: opened by their header, read slab by slab into float32, and never trusted.

References:
    NIfTI-1.1 and NIfTI-2 headers; scl_slope and scl_inter scale stored values linearly.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
from nibabel.filebasedimages import ImageFileError
from nibabel.openers import Opener
from nibabel.spatialimages import HeaderDataError

from data_prep.arrays import BoolArray, DoubleArray, FloatArray
from data_prep.geometry import Grid
from data_prep.problems import InputError

# What broken files raise on their way through nibabel, gzip and NumPy.
_BROKEN = (OSError, EOFError, ValueError, OverflowError, zlib.error, ImageFileError, HeaderDataError)

# deflate cannot shrink data more than 1032 times (zlib, "Technical Details"); a header that claims more would
# make us allocate memory for voxels the file cannot hold.
_MAX_RATIO = 1100

_SLAB_BYTES = 8 * 2**20


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
    if claimed > size * (_MAX_RATIO if volume.path.suffix == ".gz" else 1):
        raise InputError(
            f"the file must hold the {claimed} bytes its header claims for shape {volume.grid.shape}, "
            f"but it is truncated or wrong: {size} bytes."
        )


def read_volume(volume: Volume) -> FloatArray:
    """Read all voxels, as a canonical view of a float32 array.

    Values are scaled in float64 a slab at a time and then rounded once, so they equal
    `image.get_fdata().astype(np.float32)`.

    Returns:
        Shape `volume.grid.canonical_shape`, finite.

    Raises:
        InputError: The file is truncated, damaged, or holds NaN or infinity; without the file's name.
    """
    voxels = np.empty(volume.grid.shape, dtype=np.float32, order="F")
    try:
        with Opener(str(volume.path)) as file:
            file.seek(volume.offset)
            for last_axis, slab in _slabs(volume, file):
                voxels[:, :, last_axis] = slab
            # Reading past the end makes gzip compare its checksum.
            file.read(1)
    except _BROKEN as error:
        raise InputError(
            f"the volume must be readable to its end, but it is truncated or damaged: {error}"
        ) from error
    unusable = sum(int(np.count_nonzero(~np.isfinite(voxels[:, :, k]))) for k in range(voxels.shape[2]))
    if unusable:
        raise InputError(f"voxels must be finite, but {unusable} of {voxels.size} are NaN or infinite.")
    return volume.grid.to_canonical(voxels)


def _slabs(volume: Volume, file: Opener | IO[bytes]) -> Iterator[tuple[slice, npt.NDArray[Any]]]:
    """The stored volume in slabs along its last, slowest axis."""
    nx, ny, nz = volume.grid.shape
    plane = nx * ny * volume.dtype.itemsize
    step = max(1, _SLAB_BYTES // plane)
    for start in range(0, nz, step):
        count = min(step, nz - start)
        raw = file.read(count * plane)
        if len(raw) < count * plane:
            raise EOFError(
                f"{nz} slices were expected, but the data end in slice {start + len(raw) // plane}"
            )
        slab = np.frombuffer(raw, dtype=volume.dtype).reshape((nx, ny, count), order="F")
        if volume.slope != 1.0 or volume.intercept != 0.0:
            slab = slab.astype(np.float64) * volume.slope + volume.intercept
        with np.errstate(over="ignore"):
            yield slice(start, start + count), slab.astype(np.float32)


def mean_and_std(voxels: FloatArray, mask: BoolArray | None) -> tuple[float, float]:
    """Mean and standard deviation by which an image is z-scored.

    Taken inside the brain mask where there is one, else over the voxels that are not zero; where the image is
    constant there (a mask used as a sequence), over all voxels. A constant image has standard deviation 1.

    Args:
        voxels: Shape (x, y, z), canonical.
        mask: The same shape, or None.

    Returns:
        Population moments, accumulated in float64.
    """
    choices = ([] if mask is None else ["mask"]) + ["nonzero", "all"]
    mean, std = 0.0, 0.0
    for choice in choices:
        mean, std = _moments(_chunks(voxels, mask, choice))
        # The record keeps single precision.
        if np.float32(std) > 0:
            return mean, std
    return mean, 1.0


def _chunks(voxels: FloatArray, mask: BoolArray | None, choice: str) -> Iterator[DoubleArray]:
    """The chosen voxels, a few slices at a time, in canonical order whatever the order in memory."""
    step = max(1, _SLAB_BYTES // (8 * voxels.shape[0] * voxels.shape[1]))
    for start in range(0, voxels.shape[2], step):
        part = slice(start, start + step)
        chunk = np.ascontiguousarray(voxels[:, :, part])
        if choice == "mask" and mask is not None:
            chunk = chunk[np.ascontiguousarray(mask[:, :, part])]
        elif choice == "nonzero":
            chunk = chunk[chunk != 0]
        yield chunk.astype(np.float64).ravel()


def _moments(chunks: Iterator[DoubleArray]) -> tuple[float, float]:
    """Mean and standard deviation by pairwise updates; exactly (value, 0) for constant values.

    References:
        Chan, Golub, LeVeque 1983, "Algorithms for computing the sample variance".
    """
    count, mean, squares = 0, 0.0, 0.0
    low, high = np.inf, -np.inf
    for chunk in chunks:
        if chunk.size == 0:
            continue
        shift = float(chunk.mean()) - mean
        total = count + chunk.size
        squares += float(np.square(chunk - chunk.mean()).sum()) + shift**2 * count * chunk.size / total
        mean += shift * chunk.size / total
        count = total
        low, high = min(low, float(chunk.min())), max(high, float(chunk.max()))
    if not low < high:
        return (low, 0.0) if count else (0.0, 0.0)
    return mean, float(np.sqrt(squares / count))
