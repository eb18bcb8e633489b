"""The architectures that a study can name: the registry's, and its own."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from models.errors import NotBuildable
from models.registry import ARCHITECTURES, BASELINES, smallest_side
from search.domains import Value

TRAITS = {  # what parameters can apply to, in words
    "network": "a network",
    "deep": "a deep network of keras.applications",
    "head": "a network of the registry",
    "patch": "a model that reads patches",
    "penalised": "logistic regression or a support vector machine",
    "svm": "a support vector machine",
    "forest": "a random forest",
    "texture": "a model of texture features",
}


@dataclass(frozen=True)
class Own:
    """An architecture that a study file registers.

    Attributes:
        kind: "function" (from an input shape and parameters to a Keras model) or "hypermodel" (KerasTuner).
        source: `module:name`, or `/path/to/file.py:name`.
        smallest_radius: Smallest patch radius that it takes.
        arguments: What a hypermodel's class is constructed with.
        fixed: Values of hyperparameters that are not searched.
    """

    kind: str
    source: str
    smallest_radius: int = 1
    arguments: Mapping[str, Value] | None = None
    fixed: Mapping[str, Value] | None = None

    @property
    def file(self) -> Path | None:
        """The user's file, None for an installed module."""
        place = self.source.rpartition(":")[0]
        return Path(place) if place.endswith(".py") else None

    @property
    def hash(self) -> str | None:
        """sha256 of the user's file, None for an installed module or where there is no such file."""
        return None if self.file is None else file_hash(self.file)


def file_hash(path: Path) -> str | None:
    """sha256 of a file's content; None where there is no such file."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Catalogue:
    """Every architecture by name, and what applies to it.

    Args:
        own: The study's own, by name.
    """

    def __init__(self, own: Mapping[str, Own] | None = None) -> None:
        self.own = dict(own or {})

    @property
    def names(self) -> tuple[str, ...]:
        """All names, sorted."""
        return tuple(sorted({*ARCHITECTURES, *BASELINES, *self.own}))

    def traits(self, name: str) -> frozenset[str]:
        """Which of `TRAITS` an architecture has."""
        if name in self.own:
            return frozenset({"network", "patch"})
        if name in ARCHITECTURES:
            deep = {"deep"} if ARCHITECTURES[name].is_deep else set[str]()
            return frozenset({"network", "patch", "head"} | deep)
        baseline = BASELINES[name]
        found = {baseline.model} & TRAITS.keys()
        found |= {"texture"} if baseline.features == "texture" else set()
        found |= {"patch"} if baseline.features in ("roi_means", "texture") else set()
        found |= {"penalised"} if baseline.model in ("logistic", "svm") else set()
        return frozenset(found)

    def smallest_radius(self, name: str, stem: str = "paper", resize_to: int | None = None) -> int | None:
        """The smallest patch radius at which an architecture can be built; None where it never can.

        >>> Catalogue().smallest_radius("densenet201"), Catalogue().smallest_radius("densenet201", "small")
        (14, 0)
        """
        if name in self.own:
            return self.own[name].smallest_radius
        if name in BASELINES:
            return 1
        try:
            return math.ceil((smallest_side(name, stem, resize_to) - 1) / 2)
        except NotBuildable:
            return None

    def head(self, name: str) -> str:
        """The widths of an architecture's own head, as `head` names them."""
        return "-".join(map(str, ARCHITECTURES[name].head)) if name in ARCHITECTURES else "none"
