"""The record of a permutation test, as the study's folder keeps it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from data_prep.files import whole_file
from data_prep.problems import InputError
from search.home import StudyFolder
from search.refits.history import Past

CHOOSING = ("space", "input")  # what is searched, and on what: to reduce these is to choose


@dataclass(frozen=True)
class Permutation:
    """A permutation test of a whole search.

    Attributes:
        study: The study's name.
        study_id: What no other study has, also one of the same name.
        null: What was shuffled, as in `search.refits.orders.NULLS`.
        statistic: The metric of what the rule selects.
        observed: Its value with every biopsy's own expression.
        values: Its value in each permutation; None where no configuration could be fitted in one.
        p_value: `(1 + #{values >= observed}) / (1 + permutations)`; a None counts as above.
        permutations: How many.
        configurations: How many each search had.
        selected: The settings of what was selected with every biopsy's own expression, best first.
        rule: How it was selected: name, top and the metric that is compared.
        seed: Of permutations and configurations.
        reductions: What the repeated search has otherwise than the study, as `section.key=value`.
        fits: How many models were fitted.
        failed: How many of them could not be.
        drawn_again: How many orders were drawn again, as no folds with both classes can be made of them.
        fit_seconds: What the fits took, all together.
        protocol: A hash of all that the result depends on.
        versions: Of the software.
        declared_after: Whether the reductions choose among what was searched, which whoever has seen the
            search can do by its results.
        earlier: The other tests of this null on this study that were carried through before.
    """

    study: str
    study_id: str
    null: str
    statistic: str
    observed: float
    values: tuple[float | None, ...]
    p_value: float
    permutations: int
    configurations: int
    selected: tuple[Mapping[str, Any], ...]
    rule: Mapping[str, Any]
    seed: int
    reductions: tuple[str, ...]
    fits: int
    failed: int
    drawn_again: int
    fit_seconds: float
    protocol: str
    versions: Mapping[str, str]
    declared_after: bool = False
    earlier: tuple[Past, ...] = ()

    @property
    def caution(self) -> str | None:
        """What is to be said wherever the p-value is; None for nothing."""
        if not self.declared_after:
            return None
        what = " and ".join(chosen(self.reductions))
        return (
            f"the reduction of the {what} was declared after the search: this p-value is not valid as "
            "evidence if results led to it"
        )

    def record(self) -> dict[str, Any]:
        """The test as plain data."""
        return {**asdict(self), "caution": self.caution}


def chosen(reductions: Iterable[str]) -> list[str]:
    """The sections of a study file whose reduction is a choice among what was searched.

    All else that may be reduced, training and folds, makes models worse or the estimate coarser, with the
    study's own labels and with shuffled ones: that costs power alone.

    >>> chosen(["training.epochs=2", "space.patch_radius=5", "search.enqueue: 1 of 1 are not in it"])
    ['space']
    """
    sections = {line.strip().partition("=")[0].partition(".")[0].strip() for line in reductions}
    return [name for name in CHOOSING if name in sections]


def permutation_file(folder: StudyFolder, null: str) -> Path:
    """Where the test of a null is kept."""
    return folder.root / f"permutation-{null}.json"


def write_permutation(folder: StudyFolder, permutation: Permutation) -> None:
    """Keep a test, whole or not at all."""
    with whole_file(permutation_file(folder, permutation.null)) as new:
        new.write_text(json.dumps(permutation.record(), indent=2, allow_nan=False) + "\n", encoding="utf-8")


def read_permutation(folder: StudyFolder, null: str = "global") -> Permutation | None:
    """The latest test of a null; None where there was none.

    Raises:
        InputError: The file is not what `write_permutation` wrote.
    """
    path = permutation_file(folder, null)
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        fields = {name: value for name, value in fields.items() if name != "caution"}
        lists = {name: tuple(fields[name]) for name in ("values", "selected", "reductions")}
        earlier = tuple(Past.of(one) for one in fields.get("earlier", ()))
        return Permutation(**{**fields, **lists, "earlier": earlier})
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"{path}: the record of a permutation test is needed, but it cannot be read: {error}; `radsearch "
            "test` writes it anew"
        ) from error
