"""Whether a `.keras` file can be loaded by anybody: stock Keras alone, no code of anyone's; no TensorFlow."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from models.errors import ModelError

# Where stock Keras keeps what a network is made of. The settings of training are not loaded.
_STOCK = (
    "keras",
    "keras.activations",
    "keras.constraints",
    "keras.dtype_policies",
    "keras.initializers",
    "keras.layers",
    "keras.models",
    "keras.regularizers",
    "keras.src.models",
    "keras.src.ops",
)
# Layers of stock Keras that run code or open files which are not the network's own.
_REACHING = frozenset(
    {
        "FlaxLayer",
        "IntegerLookup",
        "JaxLayer",
        "Lambda",
        "StringLookup",
        "TFSMLayer",
        "TextVectorization",
        "TorchModuleWrapper",
    }
)
_VALUES = frozenset({"__bytes__", "__ellipsis__", "__keras_tensor__", "__numpy__", "__slice__", "__tensor__"})


def check_loadable(path: Path) -> None:
    """Refuse a `.keras` file that needs more than stock Keras in its safe mode; nothing of it is loaded.

    A class of the user's own loads where it was registered, that is in the process which trained, and
    nowhere else.

    Raises:
        ModelError: It names such a class or function, or is no `.keras` file; in one line.
    """
    try:
        with ZipFile(path) as file:
            network = json.loads(file.read("config.json"))
        network.pop("compile_config", None)
        found = [_said(part) for part in _objects(network) if not _is_stock(part)]
    except Exception as error:  # what a damaged file leads to is anybody's guess
        raise ModelError(f"{path.name}: a .keras file is needed, but got: {error}") from error
    if found:
        raise ModelError(
            f"{path.name}: stock Keras alone must be able to load the network, but it needs "
            f"{', '.join(sorted(set(found)))}. Build it from stock layers and keras.ops"
        )


def _is_stock(part: dict[str, Any]) -> bool:
    name, module = str(part["class_name"]), part.get("module")
    if module is None:
        return name in _VALUES
    if ">" in str(part.get("registered_name")) or name in _REACHING:
        return False
    return any(module == stock or module.startswith(f"{stock}.") for stock in _STOCK[1:]) or module == "keras"


def _said(part: dict[str, Any]) -> str:
    name = part["config"] if part["class_name"] == "function" else part["class_name"]
    return f"'{name}'"


def _objects(part: Any) -> Iterator[dict[str, Any]]:
    """Every object that a configuration stands for, outer ones first."""
    if isinstance(part, dict):
        if "class_name" in part:
            yield part
        for inner in part.values():
            yield from _objects(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from _objects(inner)
