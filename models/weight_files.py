"""The weights of a network in a file, by the names of its layers; the network itself is not needed."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import h5py  # type: ignore[import-untyped]
import numpy as np

from models.errors import ModelError
from models.samples import FloatArray

Weights = Mapping[str, tuple[FloatArray, ...]]

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
        with h5py.File(_unzipped(path) if path.suffix == ".keras" else path) as file:
            weights = _by_layer(file)
    # h5py and NumPy raise any of these for a file or an array that is not what its name says
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())
        raise ModelError(f"weights: '{path}' is no weights file of Keras: {reason}") from error
    if not weights:
        raise ModelError(
            f"weights: '{path}' names no layer with weights; "
            f"if an early Keras 3 wrote it, load it with the present one and save it again"
        )
    return weights


def _unzipped(path: Path) -> io.BytesIO:
    with zipfile.ZipFile(path) as archive:
        return io.BytesIO(archive.read("model.weights.h5"))


def _by_layer(file: h5py.File) -> Weights:
    found: dict[str, list[FloatArray]] = {}

    def visit(path: str, item: h5py.Group | h5py.Dataset) -> None:
        if path.startswith("optimizer") or not isinstance(item, h5py.Group):
            return
        if "name" in item.attrs:  # Keras 3: a layer's variables, as "0", "1", ...
            keys = sorted((key for key in item if key.isdigit()), key=int)
            arrays = [np.asarray(item[key], np.float32) for key in keys]
            found.setdefault(_text(item.attrs["name"]), []).extend(arrays)
        for weight in _listed(item, "weight_names"):  # Keras 2: "layer/kernel:0", a nested model as one group
            layer = weight.split("/")[-2] if "/" in weight else path.rpartition("/")[2]
            found.setdefault(layer, []).append(np.asarray(item[weight], np.float32))

    file.visititems(visit)
    return {layer: tuple(arrays) for layer, arrays in found.items() if arrays}


def _listed(group: h5py.Group, attribute: str) -> list[str]:
    """A list of names; a long one is spread over attributes numbered from 0."""
    parts = [attribute] if attribute in group.attrs else []
    while f"{attribute}{len(parts)}" in group.attrs:
        parts.append(f"{attribute}{len(parts)}")
    return [_text(name) for part in parts for name in group.attrs[part]]


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
