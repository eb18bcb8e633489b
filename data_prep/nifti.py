"""The header of a NIfTI file, read from its first bytes and believed only as far as it can be true.

Extensions are never read, and nothing is allocated by what the header claims.

References:
    NIfTI-1.1 and NIfTI-2 headers; Analyze 7.5, from which they grew.
"""

from __future__ import annotations

import logging
import stat
import zlib
from pathlib import Path
from types import ModuleType
from typing import IO, Any

import isal.igzip
import isal.isal_zlib
import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from data_prep.arrays import DoubleArray
from data_prep.plain_files import kind_of
from data_prep.problems import InputError

# As plain modules, because their annotations are missing or wrong.
_IGZIP: ModuleType = isal.igzip
_ISAL_ZLIB: ModuleType = isal.isal_zlib

# What broken files raise on their way through nibabel, gzip and NumPy.
BROKEN: tuple[type[Exception], ...] = (
    *(OSError, EOFError, ValueError, OverflowError, zlib.error),
    *(ImageFileError, HeaderDataError, _ISAL_ZLIB.error),
)

MAX_VOXELS = 2**30
"""Of a volume: a head in voxels of 0.25 mm has 0.8 of them."""

MAX_PLANE = 2**24
"""Voxels of a slice, the least that is in memory at a time."""

MAX_OFFSET = 2**26
"""Bytes before the first voxel; behind the header they hold extensions, which are text."""

# deflate cannot shrink data more than 1032 times (zlib, "Technical Details"); a header that claims more would
# make us allocate memory for voxels the file cannot hold.
_MAX_RATIO = 1100

_POINTERS = {
    b"/annex/objects/": "its content was not fetched: datalad get, or git annex get",
    b"version https://git-lfs": "its content was not fetched: git lfs pull",
}

_HEADERS: dict[int, Any] = {348: nib.Nifti1Header, 540: nib.Nifti2Header}
_LONGEST = 540
_START = 2**16  # bytes that hold the header, compressed or not, whatever name gzip put before it
_GZIP = 16 + zlib.MAX_WBITS  # of zlib: a stream with a gzip header

# nibabel tells what it mends; here what cannot be believed is an error, and the rest is no news.
_QUIET = logging.Logger("data_prep.nifti", logging.CRITICAL + 1)


def is_compressed(path: Path) -> bool:
    """Whether the name says so."""
    return path.suffix.lower() == ".gz"


def open_inflated(path: Path) -> IO[bytes]:
    """The file's content, inflated by ISA-L, which is several times as fast as zlib and checks as much."""
    file: IO[bytes] = _IGZIP.open(path, "rb") if is_compressed(path) else path.open("rb")
    return file


def read_header(path: Path) -> Any:
    """The header of a file, in nibabel's dress, checked and mended as nibabel does when it opens one.

    Returns:
        `nib.Nifti1Header`, or `nib.Nifti2Header`, which is one.

    Raises:
        InputError: It is no NIfTI file of its own, or nothing that can be read; without the file's name.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise InputError(f"a plain file is needed, but got {kind_of(found.st_mode)}.")
        with path.open("rb") as file:
            start = file.read(_START)
        _check_kind(start, is_compressed(path))
        if is_compressed(path):
            start = _inflated(start)
        return _parsed(start)
    except InputError:
        raise
    except BROKEN as error:
        raise InputError(f"a readable NIfTI file is needed, but: {_said(error)}") from error


def _inflated(start: bytes) -> bytes:
    """No more than the header: damage behind it is found by those who read on.

    A gzip file may have several members, and zeros between them (RFC 1952; gzip(1)).
    """
    header = b""
    while start and len(header) < _LONGEST:
        member = zlib.decompressobj(_GZIP)
        header += member.decompress(start, _LONGEST - len(header))
        start = member.unused_data.lstrip(b"\0")
    return header


def _check_kind(start: bytes, compressed: bool) -> None:
    """Refuse what is plainly something else, in words that help."""
    if not start:
        raise InputError("a readable NIfTI file is needed, but it is empty.")
    for mark, what in _POINTERS.items():
        if start.startswith(mark):
            raise InputError(f"a readable NIfTI file is needed, but {what}.")
    if start.startswith(b"\x1f\x8b") != compressed:
        what = "not compressed, though it is named .gz" if compressed else "compressed, but not named .nii.gz"
        raise InputError(f"a readable NIfTI file is needed, but it is {what}.")


def _parsed(start: bytes) -> Any:
    sizes = {int.from_bytes(start[:4], order): mark for order, mark in (("little", "<"), ("big", ">"))}  # type: ignore[arg-type]
    size = next((size for size in _HEADERS if size in sizes), None)
    if size is not None and len(start) < size:
        raise InputError(f"a readable NIfTI file is needed, but its header is truncated: {len(start)} bytes.")
    if size is None:
        raise InputError("a readable NIfTI file is needed, but it does not begin with a NIfTI header.")
    header = _HEADERS[size](start[:size], sizes[size], check=False)
    magic = header["magic"].item()
    if magic != header.single_magic:
        raise InputError(
            f"a readable NIfTI file is needed, header and voxels in one, but its magic is {magic!r}, "
            f"not {header.single_magic!r}."
        )
    header.check_fix(logger=_QUIET, error_level=40)
    return header


def shape_of(header: Any) -> tuple[int, int, int]:
    """Voxels along each axis, as stored.

    Raises:
        InputError: It is no volume, or a larger one than there can be.
    """
    ndim, *edges = (int(value) for value in header["dim"])
    if not 1 <= ndim <= 7:
        raise InputError(f"a volume has three dimensions, but got {ndim} (dim[0]).")
    shape = tuple(edges[:ndim])
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) != 3 or min(shape) < 1:
        raise InputError(f"a volume has three dimensions, but got shape {shape}.")
    if shape[0] * shape[1] > MAX_PLANE or shape[0] * shape[1] * shape[2] > MAX_VOXELS:
        raise InputError(
            f"a volume has at most {MAX_PLANE} voxels a slice and {MAX_VOXELS} in all, but got shape {shape}."
        )
    return (shape[0], shape[1], shape[2])


def dtype_of(header: Any) -> np.dtype[Any]:
    """Type of the voxels as stored, with byte order.

    Raises:
        InputError: They are no real numbers.
    """
    try:
        dtype: np.dtype[Any] = header.get_data_dtype()
    except HeaderDataError as error:
        raise InputError(f"voxels must be real numbers, but: {_said(error)}") from error
    if dtype.kind not in "iuf":
        raise InputError(f"voxels must be real numbers, but got {header.get_value_label('datatype')}.")
    return dtype


def affine_of(header: Any) -> DoubleArray:
    """From stored voxel indices to millimetres, shape (4, 4).

    Raises:
        InputError: It cannot be inverted, or places voxels beyond reason.
    """
    try:
        with np.errstate(all="ignore"):
            affine = np.asarray(header.get_best_affine(), dtype=np.float64)
    except (HeaderDataError, ValueError) as error:
        raise InputError(f"the affine must be readable, but: {_said(error)}") from error
    if not _is_invertible(affine):
        raise InputError(f"the affine must be invertible, but got {affine[:3].tolist()}.")
    return affine


def _is_invertible(affine: DoubleArray) -> bool:
    """Whether voxels have edges from 0.1 micrometre to 100 m that span a volume, within 1000 km."""
    if not np.all(np.abs(affine) < 1e9):
        return False
    edges = np.linalg.norm(affine[:3, :3], axis=0)
    if edges.min() < 1e-4 or edges.max() > 1e5:
        return False
    return bool(abs(np.linalg.det(affine[:3, :3] / edges)) > 1e-4)


def scaling_of(header: Any) -> tuple[float, float]:
    """Slope and intercept of the intensities; (1, 0) where the slope is 0 or not finite, as nibabel has it.

    Raises:
        InputError: The slope counts, but the intercept is not finite.
    """
    try:
        slope, inter = header.get_slope_inter()
    except HeaderDataError as error:
        raise InputError(f"the scaling must be finite, but: {_said(error)}") from error
    return (1.0 if slope is None else float(slope), 0.0 if inter is None else float(inter))


def offset_of(header: Any) -> int:
    """Bytes before the first voxel.

    Raises:
        InputError: The voxels would begin inside the header, or absurdly far behind it.
    """
    offset, least = float(header["vox_offset"]), header.single_vox_offset
    if not (least <= offset <= MAX_OFFSET and offset.is_integer()):
        raise InputError(f"voxels must begin at a byte from {least} to {MAX_OFFSET}, but got {offset:g}.")
    return int(offset)


def check_size(path: Path, claimed: int, shape: tuple[int, ...]) -> None:
    """Hold what a header claims against the size of its file.

    Args:
        path: The file.
        claimed: Bytes of header and voxels.
        shape: Of the voxels, for the message.

    Raises:
        InputError: The file cannot hold as many.
    """
    size = path.stat().st_size
    if claimed > size * (_MAX_RATIO if is_compressed(path) else 1):
        raise InputError(
            f"the file must hold the {claimed} bytes its header claims for shape {shape}, "
            f"but it is truncated or wrong: {size} bytes."
        )


def _said(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).strip() or type(error).__name__
