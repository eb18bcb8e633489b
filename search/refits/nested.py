"""The record of a nested cross-validation, as the study's folder keeps it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from data_prep.files import whole_file
from data_prep.problems import InputError
from search.home import StudyFolder
from search.statistics.performance import Measured


@dataclass(frozen=True)
class OuterFold:
    """One fold that no search has seen.

    Attributes:
        repeat: Of the outer fold table.
        fold: Of that repeat.
        selected: What was selected within its training biopsies: places among the configurations, best first.
        settings: Their settings.
        inner: The study's metric of what was selected, on the inner folds that selected it.
        outer: The same on the held-out biopsies; None where it is undefined.
    """

    repeat: int
    fold: int
    selected: tuple[int, ...]
    settings: tuple[Mapping[str, Any], ...]
    inner: float | None
    outer: float | None


@dataclass(frozen=True)
class Nested:
    """A nested cross-validation of a study.

    Attributes:
        study: The study's name.
        metric: By which is selected.
        rule: How: name and top.
        configurations: How many were searched in each training fold; the same in all.
        inner_folds: Folds of the inner search.
        outer_folds: Folds of the outer table.
        repeats: Of the outer table.
        table: Hash of the outer table.
        folds: Each outer fold.
        performance: Every metric over the outer folds with its 95 % interval.
        informative_pairs: Pairs of biopsies of one participant with different labels.
        fits: How many models were fitted.
        failed: How many of them could not be.
        fit_seconds: What the fits took, all together.
        overrides: What the command line set otherwise than the file.
        protocol: A hash of all that the result depends on.
        versions: Of the software.
        study_id: What no other study has, also one of the same name; "" where none of it is recorded.
        labels: Hash of the labels.
        patches: Hash of the patches.
    """

    study: str
    metric: str
    rule: Mapping[str, Any]
    configurations: int
    inner_folds: int
    outer_folds: int
    repeats: int
    table: str
    folds: tuple[OuterFold, ...]
    performance: Mapping[str, Measured]
    informative_pairs: int
    fits: int
    failed: int
    fit_seconds: float
    overrides: tuple[str, ...]
    protocol: str
    versions: Mapping[str, str]
    study_id: str = ""
    labels: str = ""
    patches: str = ""

    @property
    def overlap(self) -> float:
        """Mean Jaccard overlap of what two outer folds selected: 1 where all selected the same."""
        sets = [set(fold.selected) for fold in self.folds]
        shares = [len(one & other) / len(one | other) for one, other in combinations(sets, 2)]
        return sum(shares) / len(shares)

    @property
    def is_stable(self) -> bool:
        """Whether all outer folds selected the same."""
        return len({frozenset(fold.selected) for fold in self.folds}) == 1

    def record(self) -> dict[str, Any]:
        """The validation as plain data, what `radsearch nested --json` prints."""
        return {**asdict(self), "overlap": self.overlap, "stable": self.is_stable}


def nested_file(folder: StudyFolder) -> Path:
    """Where it is kept."""
    return folder.root / "nested.json"


def write_nested(folder: StudyFolder, nested: Nested) -> None:
    """Keep it, whole or not at all."""
    with whole_file(nested_file(folder)) as new:
        new.write_text(json.dumps(nested.record(), indent=2, allow_nan=False) + "\n", encoding="utf-8")


def read_nested(folder: StudyFolder) -> Nested | None:
    """The latest nested cross-validation of a study; None where there was none.

    Raises:
        InputError: The file is not what `write_nested` wrote.
    """
    path = nested_file(folder)
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        own = {name: value for name, value in fields.items() if name not in ("overlap", "stable")}
        own["folds"] = tuple(_fold(fold) for fold in fields["folds"])
        own["performance"] = {name: Measured(**value) for name, value in fields["performance"].items()}
        own["overrides"] = tuple(fields["overrides"])
        return Nested(**own)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"{path}: the record of a nested cross-validation is needed, but it cannot be read: {error}; "
            "`radsearch nested` writes it anew"
        ) from error


def _fold(fields: Mapping[str, Any]) -> OuterFold:
    lists = {name: tuple(fields[name]) for name in ("selected", "settings")}
    return OuterFold(**{**fields, **lists})
