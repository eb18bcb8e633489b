"""What a model folder says of itself: `model.json`, read strictly, without a participant's or biopsy's id."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import PurePosixPath
from typing import Any, ClassVar, Final, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError

from data_prep.patch_set import PatchRequest
from data_prep.problems import InputError, Problems, nearest, one_line
from search.deployment.ensemble import Ensemble
from search.deployment.reference_facts import ReferenceFacts
from search.study_file import NAME

FILE: Final = "model.json"
CARD: Final = "README.md"
REFERENCE: Final = "reference.npz"
REFERENCE_INPUT: Final = "reference_input.npz"

FORMAT: Final = 1
"""Raise it whenever the same folder would mean something else; those of `KNOWN_FORMATS` are read."""

KNOWN_FORMATS: Final = (1,)

INTENDED_USE: Final = "research use only: not for diagnosis, treatment or any other decision about a patient"

_STRICT: Final = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


@dataclass(frozen=True)
class OutOfFold:
    """How the ensemble scores biopsies held out, with its ranks and calibration fitted without their fold.

    Attributes:
        biopsies: How many have the label.
        positive: How many of them are above the cut.
        roc_auc: Pairs within a fold; None without one.
        brier: Mean squared error of the probability.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    biopsies: int
    positive: int
    roc_auc: float | None
    brier: float


@dataclass(frozen=True)
class LabelFacts:
    """What one label means.

    Attributes:
        name: The gene, or what the score is made of.
        definition: In words.
        cut: Above it a biopsy is positive, in `unit`.
        unit: Of the score.
        threshold: The probability above which the model says that a place is positive.
        out_of_fold: How well it does so.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    name: str
    definition: str
    cut: float
    unit: str
    threshold: float
    out_of_fold: OutOfFold


@dataclass(frozen=True)
class MemberEntry:
    """One member of the ensemble.

    Attributes:
        folder: Its place in the model folder, with forward slashes.
        configuration: Which of `ModelFacts.configurations` it is of.
        seed: What it was trained with.
        fold: The fold that it did not learn from; None for a member that learned from all.
        fit: The key of the fit that made it.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    folder: str
    configuration: int
    seed: int
    fold: int | None
    fit: str


@dataclass(frozen=True)
class SeenParticipant:
    """Somebody whom the model learned from.

    Attributes:
        imprints: sha256 of the content of each of their images (`data_prep.imprints`), those of second scans
            too, which tells them again without a name.
        fold: In which fold they were held out.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    imprints: tuple[str, ...]
    fold: int


@dataclass(frozen=True)
class TrainingFacts:
    """What the model learned from.

    Attributes:
        cohort: Its name.
        participants: How many of them.
        biopsies: How many the members that learned from all learned from.
        positive: How many of these have the first label.
        patches: Hash of the patches.
        labels: Hash of the labels.
        folds: Hash of the fold table.
        context: Hash of all that the fits depend on beside themselves.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    cohort: str
    participants: int
    biopsies: int
    positive: int
    patches: str
    labels: str
    folds: str
    context: str


@dataclass(frozen=True)
class ModelFacts:
    """All that a model folder says of itself, but for the weights.

    Attributes:
        name: Of the model.
        version: N of NAME/N in the home; None for a folder elsewhere.
        created: UTC, ISO 8601.
        study: Name of the study.
        study_id: Tells it from another of its name.
        rule: How the study selected its trials, or "named" for one that was asked for.
        metric: What the study searched by, and what `honest` is an estimate of.
        trials: Numbers of the trials, a configuration each.
        configurations: Every parameter in force of each.
        epochs: How many each was trained for on all biopsies; None for one without epochs.
        task: "classification" or "regression".
        labels: What is predicted, the one that was searched for first.
        request: What is cut out of the images for it.
        needed: The sequences that every training biopsy had: without one of them nothing is said.
        missing: What becomes of the others where they are absent (`data_prep.inputs.channel_layout`).
        voxel_mm: Smallest and largest edge of the training patches' voxels, in their plane.
        members: Those that learned from all biopsies, then those of each fold.
        ensemble: How the former answer together.
        fold_ensembles: How those of each fold do, fitted without its biopsies; none where the folds were
            left out.
        fold_references: Of each fold, the training patches without its biopsies.
        participants: Whom it learned from.
        training: What it learned from.
        honest: What the study's selection is worth on participants that it has not seen, as
            `search.judgement.judgement` tells it.
        software: Versions by package.
        device: Where the members were trained.
        intended_use: What it is for.
        files: sha256 of every other file of the folder, by its place in it.
        format: Of this file.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    name: str
    version: int | None
    created: str
    study: str
    study_id: str | None
    rule: str
    metric: str
    trials: tuple[int, ...]
    configurations: tuple[Mapping[str, str | int | float | bool], ...]
    epochs: tuple[int | None, ...]
    task: Literal["classification", "regression"]
    labels: tuple[LabelFacts, ...]
    request: PatchRequest
    needed: tuple[str, ...]
    missing: str
    voxel_mm: tuple[float, float]
    members: tuple[MemberEntry, ...]
    ensemble: Ensemble
    fold_ensembles: tuple[Ensemble, ...]
    fold_references: tuple[ReferenceFacts, ...]
    participants: tuple[SeenParticipant, ...]
    training: TrainingFacts
    honest: Mapping[str, Any]
    software: Mapping[str, str]
    device: str
    intended_use: str = INTENDED_USE
    files: Mapping[str, str] = field(default_factory=dict)
    format: int = FORMAT

    @property
    def is_regression(self) -> bool:
        """Whether its members learned the score itself."""
        return self.task == "regression"

    @property
    def folds(self) -> int:
        """How many folds it has members of; 0 where they were left out."""
        return len(self.fold_ensembles)

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of the labels."""
        return tuple(label.name for label in self.labels)

    def members_of(self, fold: int | None) -> tuple[MemberEntry, ...]:
        """The members that did not learn from a fold; of None those that learned from all."""
        return tuple(member for member in self.members if member.fold == fold)

    @property
    def content(self) -> dict[str, Any]:
        """What makes it this model and no other: all but when, under which number and in which bytes."""
        told = self.as_json()
        return {name: part for name, part in told.items() if name not in ("created", "version", "files")}

    def as_json(self) -> dict[str, Any]:
        """All of it as plain data, what it is first."""
        told: dict[str, Any] = {"format": self.format, "intended_use": self.intended_use, **asdict(self)}
        return json.loads(json.dumps(told, allow_nan=False))  # type: ignore[no-any-return]

    def to_json(self) -> str:
        """The text of `model.json`."""
        return json.dumps(self.as_json(), indent=1, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> ModelFacts:
        """The facts that `to_json` wrote.

        Raises:
            InputError: They are of a format that is not known, or break a law of it; a line each.
        """
        _check_format(text)
        try:
            facts = _READER.validate_json(text)
        except ValidationError as error:
            raise InputError(_told(error)) from error
        _check(facts)
        return facts


_READER: Final = TypeAdapter(ModelFacts)


def _check_format(text: str) -> None:
    """Refuse what is no `model.json` at all, or one of a later version."""
    try:
        told = json.loads(text, parse_float=_finite, parse_constant=_finite)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{FILE}: JSON is needed, but got: {error}") from error
    if not isinstance(told, dict) or "format" not in told:
        raise InputError(f"{FILE}: what `radsearch refit` writes is needed, but there is no 'format' in it")
    version = told["format"]
    if version not in KNOWN_FORMATS or isinstance(version, bool):
        known = ", ".join(map(str, KNOWN_FORMATS))
        raise InputError(
            f"{FILE}: format: this version of radsearch knows {known}, but got {version!r}. "
            "Use the version that wrote it"
        )


def _finite(text: str) -> float:
    """A number of the file.

    Raises:
        ValueError: It is infinite, or none.
    """
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"numbers must be finite, but got {text}")
    return number


def is_place(name: str) -> bool:
    """Whether a name is a place inside a folder, told in the one way there is.

    >>> [is_place(name) for name in ("a/b", "../a", "/a", "a//b", "./a", "")]
    [True, False, False, False, False, False]
    """
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and str(path) == name


def _told(error: ValidationError) -> list[str]:
    """The reader's errors in the words of the house."""
    lines = dict.fromkeys(_line(detail) for detail in error.errors())
    return list(lines)


def _line(detail: Any) -> str:
    where = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "missing":
        return f"{FILE}: {where}: the key is required, but missing"
    if detail["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        hint = (
            nearest(str(detail["loc"][-1]), ModelFacts.__dataclass_fields__)
            if len(detail["loc"]) == 1
            else ""
        )
        return f"{FILE}: {where}: unknown key{'; ' if hint else ''}{hint}"
    rule = detail["msg"].removeprefix("Input ").removeprefix("Value error, ").replace("tuple", "list")
    return one_line(f"{FILE}: {where}: {rule}, but got {str(detail['input'])[:80]!r}")


def _check(facts: ModelFacts) -> None:
    """Hold the parts against each other."""
    problems = Problems()
    count, labels = len(facts.configurations), len(facts.labels)
    entries = facts.members
    laws = {
        "study": (bool(NAME.fullmatch(facts.study)), "the name of a study, which names folders,"),
        "trials": (len(facts.trials) == count, "a trial for each configuration"),
        "epochs": (len(facts.epochs) == count, "a number for each configuration"),
        "labels": (labels > 0, "at least one label"),
        "needed": (set(facts.needed) <= set(facts.request.sequences), "a subset of the sequences"),
        "files": (all(map(is_place, facts.files)), "a place in the folder for each file"),
        "members": (all(is_place(one.folder) for one in entries), "a place in the folder for each member"),
        "fold_references": (len(facts.fold_references) == facts.folds, "a reference for each fold"),
    }
    for fold, ensemble in ((None, facts.ensemble), *enumerate(facts.fold_ensembles)):
        where = "ensemble" if fold is None else f"fold_ensembles.{fold}"
        fits = [len(head.scores) == len(head.own) == count and all(head.scores) for head in ensemble.heads]
        laws[where] = (all(fits) and len(fits) == labels, "a part for each label and configuration")
        found = {one.configuration for one in facts.members_of(fold)}
        laws[f"members of {where}"] = (found == set(range(count)), "a member of each configuration")
    for where, (holds, law) in laws.items():
        if not holds:
            problems.add(f"{FILE}: {where}", f"{law} is needed, but that is not what it has")
    problems.raise_any()
