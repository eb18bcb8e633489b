"""What a training fold said of its patches, as a file: read back bit by bit, and nothing in it runs."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from data_prep.files import whole_file
from data_prep.fold_input import FoldInput
from data_prep.inputs import ChannelLayout
from data_prep.intensity import LANDMARKS, METHODS
from data_prep.patch_set import MOST_SLICES
from data_prep.plain_files import read_plain
from data_prep.problems import InputError

# Raise it whenever the same file would mean something else.
_FORMAT: Final = 1

# The largest patch there can be, of nine sequences in three slices, takes a tenth of it.
_MAX_BYTES: Final = 2**28

_MOST_RADIUS: Final = MOST_SLICES // 2

_ARRAYS: Final = {"known": "|b1", "location": "<f8", "spread": "<f8", "standard": "<f8", "fill": "<f4"}

# What damaged archives, headers and texts raise on their way through zipfile, NumPy and json.
_BROKEN: Final = (OSError, EOFError, ValueError, KeyError, TypeError, MemoryError, OverflowError)


def write_input(view: FoldInput, path: Path) -> None:
    """Write to `path` (.npz), whole or not at all; the same bytes for the same content.

    Raises:
        OSError: It cannot be written.
    """
    layout = view.layout
    said = {
        "format": _FORMAT,
        "sequences": view.sequences,
        "methods": view.methods,
        "radius": view.radius,
        "slices": layout.slices,
        "presence": layout.presence,
        "channels": view.channels,
    }
    arrays: dict[str, npt.NDArray[Any]] = {"said": np.frombuffer(json.dumps(said).encode(), dtype=np.uint8)}
    for name, dtype in _ARRAYS.items():
        array = getattr(view, name)
        if array is not None:
            arrays[name] = np.asarray(array, dtype=dtype)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    with whole_file(path) as new:
        new.write_bytes(buffer.getvalue())


def read_input(path: Path) -> FoldInput:
    """What `write_input` wrote, bit by bit.

    Raises:
        InputError: The file is absent, damaged, or says what cannot be.
    """
    try:
        arrays = _unpacked(read_plain(path, _MAX_BYTES))
        return _input_of(json.loads(arrays.pop("said").tobytes()), arrays)
    except (*_BROKEN, zipfile.BadZipFile, zlib.error) as error:
        what = getattr(error, "strerror", None) or (str(error) if type(error) is ValueError else "")
        why = f" ({what})" if what else ""
        raise InputError(
            f"{path}: what a model is shown must be readable, but the file is absent or damaged{why}. "
            "Make the model again: radsearch refit."
        ) from error


def _unpacked(content: bytes) -> dict[str, npt.NDArray[Any]]:
    """The arrays of an archive, none of which may be larger than the file."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if sum(member.file_size for member in archive.infolist()) > len(content):
            raise ValueError("its parts claim more than its size")
    with np.load(io.BytesIO(content), allow_pickle=False) as kept:
        return {name: kept[name] for name in kept.files}


def _input_of(said: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> FoldInput:
    if said["format"] != _FORMAT:
        raise ValueError(f"format {_FORMAT} is known, but got {said['format']}")
    sequences, methods = _words(said, "sequences"), _words(said, "methods")
    layout = ChannelLayout(len(sequences), int(said["slices"]), tuple(map(int, said["presence"])))
    view = FoldInput(
        sequences=sequences,
        methods=methods,
        radius=int(said["radius"]),
        layout=layout,
        channels=_words(said, "channels"),
        **{name: _typed(name, arrays) for name in _ARRAYS},
    )
    _check(view)
    return view


def _words(said: dict[str, Any], name: str) -> tuple[str, ...]:
    words = tuple(said[name])
    if not all(isinstance(word, str) for word in words):
        raise ValueError(f"{name} must be names")
    return words


def _typed(name: str, arrays: dict[str, npt.NDArray[Any]]) -> Any:
    """An array of the type that it was written in, None for a fill that there is not."""
    if name == "fill" and name not in arrays:
        return None
    array = arrays[name]
    if array.dtype.str != _ARRAYS[name] or not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, of type {_ARRAYS[name]}, but got {array.dtype.str}")
    return array


def _check(view: FoldInput) -> None:
    """Hold the parts of an input against each other."""
    count, edge, layout = len(view.sequences), 2 * view.radius + 1, view.layout
    images = count * layout.slices
    shapes = {"known": (count,), "location": (count,), "spread": (count,), "standard": (count, LANDMARKS)}
    if view.fill is not None:
        shapes["fill"] = (edge, edge, images)
    for name, shape in shapes.items():
        if getattr(view, name).shape != shape:
            raise ValueError(f"{name} must have shape {shape}, but got {getattr(view, name).shape}")
    laws = {
        "a method for each sequence": len(view.methods) == count and set(view.methods) <= METHODS.keys(),
        "each sequence once": 0 < count == len(set(view.sequences)),
        "a legal radius": 0 <= view.radius <= _MOST_RADIUS,
        "an odd number of slices": layout.slices % 2 == 1 and 1 <= layout.slices <= MOST_SLICES,
        "presence channels of its sequences": all(0 <= column < count for column in layout.presence),
        "a name for each channel": len(view.channels) == layout.channels,
        "spreads above 0": bool((view.spread > 0).all()),
    }
    for law, holds in laws.items():
        if not holds:
            raise ValueError(f"{law} is needed")
