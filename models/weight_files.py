"""The weights of a network in a file, by the names of its layers; the network itself is not needed.

Nothing outside the file is read, whatever links it holds, and its size bounds the memory that it takes.
"""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import h5py  # type: ignore[import-untyped]
import numpy as np

from models.errors import ModelError
from models.samples import FloatArray

MAX_RATIO = 100
"""Of inflated to stored bytes; weights that were trained can hardly be compressed at all."""

_ROOM = 2**20  # bytes beyond that, for files of next to nothing

Weights = Mapping[str, tuple[FloatArray, ...]]

# What h5py, zipfile and NumPy raise for a file or an array that is not what its name says.
_BROKEN = (
    *(OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error, EOFError),
)

SUFFIXES = (".keras", ".h5")  # `.weights.h5` among the latter


def read_weights(path: Path) -> Weights:
    """The weights of every layer in a file that Keras wrote.

    Args:
        path: `.keras`, `.weights.h5`, or `.h5` as Keras 2 wrote it and as `keras.applications` publishes.

    Returns:
        Arrays by layer name, float32, in the order of the layer's own variables; layers of nested models
        stand beside the others.

    Raises:
        ModelError: There is no such file, or it holds no weights.
    """
    if path.suffix not in SUFFIXES:
        raise ModelError(f"weights: a file .keras, .weights.h5 or .h5 is needed, but got '{path}'")
    if not path.is_file():
        raise ModelError(f"weights: there is no file '{path}'")
    try:
        room = MAX_RATIO * path.stat().st_size + _ROOM
        with h5py.File(_unzipped(path, room) if path.suffix == ".keras" else path) as file:
            weights = _by_layer(file, room)
    except _BROKEN as error:
        reason = " ".join(str(error).split())
        raise ModelError(f"weights: '{path}' is no weights file of Keras: {reason}") from error
    if not weights:
        raise ModelError(
            f"weights: '{path}' names no layer with weights; "
            f"if an early Keras 3 wrote it, load it with the present one and save it again"
        )
    return weights


def _unzipped(path: Path, room: int) -> io.BytesIO:
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("model.weights.h5")
        _check_size(info.file_size, room)
        return io.BytesIO(archive.read(info))


def _check_size(wanted: int, room: int) -> None:
    if wanted > room:
        raise ValueError(f"it claims {wanted} bytes, more than {MAX_RATIO} times its size")


def _by_layer(file: h5py.File, room: int) -> Weights:
    found: dict[str, list[FloatArray]] = {}
    taken = 0

    def read(group: h5py.Group, name: str) -> FloatArray:
        nonlocal taken
        dataset = _own_dataset(group, name)
        chunk = math.prod(dataset.chunks) if dataset.chunks else 0  # read whole, however little of it is used
        taken += max(math.prod(dataset.shape), chunk) * max(dataset.dtype.itemsize, 4)
        _check_size(taken, room)
        return np.asarray(dataset, np.float32)

    def visit(path: str, item: h5py.Group | h5py.Dataset) -> None:
        if path.startswith("optimizer") or not isinstance(item, h5py.Group):
            return
        if "name" in item.attrs:  # Keras 3: a layer's variables, as "0", "1", ...
            keys = sorted((key for key in item if key.isdigit()), key=int)
            arrays = [read(item, key) for key in keys]
            found.setdefault(_text(item.attrs["name"]), []).extend(arrays)
        for weight in _listed(item, "weight_names"):  # Keras 2: "layer/kernel:0", a nested model as one group
            layer = weight.split("/")[-2] if "/" in weight else path.rpartition("/")[2]
            found.setdefault(layer, []).append(read(item, weight))

    file.visititems(visit)
    return {layer: tuple(arrays) for layer, arrays in found.items() if arrays}


def _own_dataset(group: h5py.Group, name: str) -> h5py.Dataset:
    """A dataset that is wholly in its file: HDF5 knows three ways of pointing at the content of others."""
    item: h5py.Group | h5py.Dataset = group
    for part in name.split("/"):
        if not isinstance(item.get(part, getlink=True), h5py.HardLink):
            raise ValueError(f"'{name}' is a link, and only weights in the file itself are read")
        item = item[part]
    if item.external or item.is_virtual:
        raise ValueError(f"'{name}' lies in another file, and only weights in the file itself are read")
    return item


def _listed(group: h5py.Group, attribute: str) -> list[str]:
    """A list of names; a long one is spread over attributes numbered from 0."""
    parts = [attribute] if attribute in group.attrs else []
    while f"{attribute}{len(parts)}" in group.attrs:
        parts.append(f"{attribute}{len(parts)}")
    return [_text(name) for part in parts for name in group.attrs[part]]


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
