"""The files of a phantom: the same bytes for the same content, whole or not at all."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import nibabel
import numpy as np
import numpy.typing as npt

from data_prep.arrays import DoubleArray, FloatArray
from data_prep.files import FULL
from data_prep.problems import InputError


class Folder:
    """A folder being filled, and the hashes of what was written.

    Attributes:
        root: The folder.
        hashes: sha256 of each file by its path in the folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.hashes: dict[str, str] = {}

    def write(self, name: str, content: bytes) -> None:
        """Write one file; `name` is its path in the folder with forward slashes."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self.hashes[name] = hashlib.sha256(content).hexdigest()

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Write a tab-separated table."""
        lines = ["\t".join(row) for row in (columns, *rows)]
        self.write(name, ("\n".join(lines) + "\n").encode())

    def volume(
        self,
        name: str,
        data: npt.NDArray[Any],
        affine: DoubleArray,
        slope: float = 1.0,
        inter: float = 0.0,
    ) -> None:
        """Write a NIfTI image; see `nifti_bytes`."""
        self.write(name, nifti_bytes(data, affine, slope, inter))


def nifti_bytes(data: npt.NDArray[Any], affine: DoubleArray, slope: float, inter: float) -> bytes:
    """A gzipped NIfTI-1 file.

    Args:
        data: Stored numbers, int16 or uint8, shape (a, b, c).
        affine: Voxel to world, shape (4, 4).
        slope: scl_slope; what a reader sees is `slope * stored + inter`.
        inter: scl_inter.
    """
    header: Any = nibabel.Nifti1Header()  # type: ignore[no-untyped-call]
    header.set_data_dtype(data.dtype)
    header.set_data_shape(data.shape)
    header.set_xyzt_units("mm")
    header.set_qform(affine, 1)
    header.set_sform(affine, 1)
    header["magic"], header["vox_offset"] = b"n+1", 352
    header["scl_slope"], header["scl_inter"] = slope, inter
    no_extension = bytes(4)
    stored = data.astype(data.dtype.newbyteorder(header.endianness)).tobytes(order="F")
    return gzip.compress(header.binaryblock + no_extension + stored, compresslevel=1, mtime=0)


def quantise(image: FloatArray, step: float) -> npt.NDArray[np.int16]:
    """Round to multiples of `step`, stored as int16."""
    return np.asarray(np.rint(image / np.float32(step)).clip(-32768, 32767), np.int16)


def json_bytes(document: Mapping[str, Any]) -> bytes:
    """A readable JSON file."""
    return (json.dumps(document, indent=2, allow_nan=False) + "\n").encode()


@contextmanager
def new_folder(out: Path) -> Iterator[Folder]:
    """A folder that appears under its name only when the block ends well.

    Args:
        out: Where it will be: absent, or an empty folder.

    Raises:
        InputError: Something is there already, or nothing can be written there.
        OSError: The disk is full; the error names `out`.
    """
    partial = None
    try:
        try:
            _refuse_taken(out)
            whole = out.resolve()
        except RuntimeError as error:  # links that go in a circle
            raise InputError(f"{out}: cannot be written ({error}). Choose another place.") from error
        partial = whole.with_name(f".{whole.name[:100]}.{uuid4().hex}.partial")
        whole.parent.mkdir(parents=True, exist_ok=True)
        partial.mkdir()
        yield Folder(partial)
        partial.replace(whole)
    except OSError as error:
        if error.errno in FULL:
            error.filename = str(out)
            raise
        raise InputError(f"{out}: cannot be written ({error}). Choose another place.") from error
    finally:
        if partial is not None:
            shutil.rmtree(partial, ignore_errors=True)


def _refuse_taken(out: Path) -> None:
    free = not any(out.iterdir()) if out.is_dir() else not (out.exists() or out.is_symlink())
    if not free:
        raise InputError(
            f"{out}: must be new or an empty folder, but something is there. Choose another place."
        )
