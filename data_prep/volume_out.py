"""Volumes that lie over a participant's images in any viewer: stored as those are, at the same places."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any, Final

import nibabel
import numpy as np
import numpy.typing as npt

from data_prep import nifti
from data_prep.files import whole_file
from data_prep.geometry import Grid
from data_prep.volumes import Volume

# NIfTI-1, qform_code and sform_code: "scanner-based anatomical coordinates".
_SCANNER: Final = 1

_TYPES: Final[dict[str, np.dtype[Any]]] = {
    "f": np.dtype(np.float32),
    "u": np.dtype(np.uint8),
    "b": np.dtype(np.uint8),
}

_DESCRIBED: Final = 79  # characters of `descrip`, which a zero ends

# What a header says of where its voxels are.
_PLACE: Final = (
    *("pixdim", "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d"),
    *("qoffset_x", "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z"),
)


def write_volume(
    path: Path,
    canonical: npt.NDArray[Any],
    grid: Grid,
    placed_like: Volume | None = None,
    description: str = "",
) -> None:
    """Write a NIfTI-1 file, whole or not at all; the same bytes for the same content.

    Args:
        path: Ends with ".nii.gz", or ".nii" for a file that is not compressed.
        canonical: Of the grid's canonical shape: floating-point numbers, stored as float32, of which some may
            be NaN; or uint8, or true and false, stored as uint8.
        grid: In whose stored order and with whose affine it is written.
        placed_like: A file on that grid, whose sform and qform are copied with their codes; None for both
            forms with the grid's affine and code 1, or the sform alone where no qform can say it.
        description: What the values are; of it, the first 79 ASCII characters are kept.

    Raises:
        ValueError: Another shape or type, or `placed_like` is on another grid.
        InputError: The header of `placed_like` cannot be read any more.
        OSError: It cannot be written.
    """
    dtype = _TYPES.get(canonical.dtype.kind)
    if dtype is None or (dtype == np.uint8 and canonical.dtype.itemsize > 1):
        raise ValueError(f"float, uint8 or bool is needed, but got {canonical.dtype}")
    if canonical.shape != grid.canonical_shape:
        raise ValueError(f"shape {grid.canonical_shape}, the grid's, is needed, but got {canonical.shape}")
    stored = np.ascontiguousarray(grid.to_stored(canonical), dtype=dtype)
    header = _header(grid, placed_like)
    header.set_data_dtype(dtype)
    header["descrip"] = description.encode("ascii", "replace")[:_DESCRIBED]
    header.set_data_shape(stored.shape)
    image: Any = nibabel.Nifti1Image(stored, None, header)  # type: ignore[no-untyped-call]
    content = image.to_bytes()
    if nifti.is_compressed(path):
        content = gzip.compress(content, compresslevel=6, mtime=0)
    with whole_file(path) as new:
        new.write_bytes(content)


def _header(grid: Grid, like: Volume | None) -> Any:
    """Where the voxels of the grid lie, in millimetres."""
    header: Any = nibabel.Nifti1Header()  # type: ignore[no-untyped-call]
    header.set_data_shape(grid.shape)
    if like is None:
        header.set_sform(grid.affine, _SCANNER)
        header.set_qform(grid.affine, _SCANNER)
        if not np.allclose(header.get_qform(), grid.affine, atol=1e-3 * grid.voxel_size.min()):
            header["qform_code"] = 0
    else:
        if like.grid.shape != grid.shape or not np.array_equal(like.grid.affine, grid.affine):
            raise ValueError(f"{like.path} is on another grid")
        theirs = nifti.read_header(like.path)
        for name in _PLACE:
            header[name] = theirs[name]
        header["pixdim"][4:] = 0
    header.set_xyzt_units("mm")
    return header
