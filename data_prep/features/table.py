"""A table of features, in memory and on disk."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_prep.arrays import DoubleArray
from data_prep.files import whole_file


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """One row of numbers a biopsy.

    Attributes:
        values: Shape (biopsies, features), read-only; NaN where the biopsy lacks the sequence. Whoever fits a
            model fills them in from its training fold.
        names: Of the features, such as "T1:mean".
    """

    values: DoubleArray
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.values.shape[1] != len(self.names):
            raise ValueError(
                f"a column needs a name each, but shape {self.values.shape} got {len(self.names)} names"
            )
        self.values.flags.writeable = False


def write_features(table: FeatureTable, path: Path) -> None:
    """Write the values to `path` (.npy) and the names with a hash over both beside it (.json).

    Raises:
        OSError: The files cannot be written.
    """
    buffer = io.BytesIO()
    np.save(buffer, table.values, allow_pickle=False)
    content = buffer.getvalue()
    with whole_file(path) as new:
        new.write_bytes(content)
    index = {"names": table.names, "hash": _hash(table.names, content)}
    with whole_file(path.with_suffix(".json")) as new:
        new.write_text(json.dumps(index), encoding="utf-8")


def read_features(path: Path) -> FeatureTable | None:
    """What `write_features` wrote, bit by bit; None where it is absent or damaged."""
    try:
        index = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        content = path.read_bytes()
        names = tuple(index["names"])
        if index["hash"] != _hash(names, content):
            return None
        return FeatureTable(np.load(io.BytesIO(content), allow_pickle=False), names)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _hash(names: tuple[str, ...], content: bytes) -> str:
    return hashlib.sha256(json.dumps(names).encode() + content).hexdigest()
