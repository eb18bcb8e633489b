"""What a fitted model is, beside its weights: what it reads, what it answers, in which units."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import PurePath
from typing import ClassVar, Final

import numpy as np
from pydantic import ConfigDict, TypeAdapter, ValidationError

from data_prep.arrays import DoubleArray
from data_prep.problems import InputError, one_line
from models.calibration import Calibration
from models.registry import BASELINES
from models.spec import TASKS
from search.domains import Value
from search.fold import Scored, Task
from search.specs import is_baseline
from search.targets import Targets

FORMAT = 1
"""Raised whenever the same file would mean something else."""

KINDS = ("network", "baseline")
PATCHES = "patches"
"""What a network reads; what shallow models read has the names of `models.registry.Baseline`."""

_STRICT: Final = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


@dataclass(frozen=True)
class FileFacts:
    """What a file of a member must have.

    Attributes:
        size: Bytes.
        sha256: Of its content.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    size: int
    sha256: str


@dataclass(frozen=True)
class MemberFacts:
    """A fitted model of K labels.

    Attributes:
        architecture: Its name.
        settings: Every parameter in force; of files, their names alone.
        seed: Of weights, shuffling and augmentation.
        kind: A name of `KINDS`.
        features: What it reads: "patches", or a shallow model's "none", "location", "missingness",
            "roi_means" or "texture".
        radius: Of the patch that it looks at, in voxels.
        labels: K names.
        task: A name of `models.spec.TASKS`.
        parameters: Numbers that were fitted.
        epochs: The one whose weights it has, 1-based; 0 of a shallow model.
        mean: Of a regression's values in training, K numbers; zeros of a classification.
        sd: Likewise their standard deviation; ones of a classification.
        cuts: On the standardised scale, what lies above has the label; K numbers.
        calibration: Of a regression, from a standardised value above its cut to log-odds: K times slope and
            intercept. Empty of a classification, which says probabilities.
        context: A hash of all that the fit depended on beside itself (`search.refits.fit.context_of`).
        files: Those that lie beside these facts, by name; none before they are written.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    architecture: str
    settings: Mapping[str, str | int | float | bool]
    seed: int
    kind: str
    features: str
    radius: int
    labels: tuple[str, ...]
    task: str
    parameters: int
    epochs: int
    mean: tuple[float, ...]
    sd: tuple[float, ...]
    cuts: tuple[float, ...]
    calibration: tuple[tuple[float, float], ...]
    context: str
    files: Mapping[str, FileFacts] = field(default_factory=dict)

    @property
    def is_regression(self) -> bool:
        """Whether it says values, from which probabilities are made."""
        return self.task == TASKS[True]

    @property
    def reads_location(self) -> bool:
        """Whether it is to be told where in the brain a place is."""
        return self.features == "location"

    def probability(self, outputs: DoubleArray) -> DoubleArray:
        """Probabilities of what the model itself says, both of shape (n, K)."""
        return self._targets.probability(outputs, tuple(Calibration(*line) for line in self.calibration))

    def value(self, outputs: DoubleArray) -> DoubleArray | None:
        """A regression's values in units of its score, shape (n, K); None of a classification."""
        return self._targets.values(outputs) if self.is_regression else None

    @property
    def _targets(self) -> Targets:
        """The scale of what was learned, without any biopsy."""
        count = len(self.labels)
        return Targets(
            names=self.labels,
            learned=np.empty((0, count), dtype=np.float32),
            labels=np.empty((0, count), dtype=np.int64),
            thresholds=(),
            cuts=np.array(self.cuts),
            mean=np.array(self.mean),
            sd=np.array(self.sd),
            is_regression=self.is_regression,
        )

    def to_json(self) -> str:
        """All of it; numbers survive exactly."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> MemberFacts:
        """The facts that `to_json` wrote.

        Raises:
            InputError: It is something else.
        """
        try:
            told = json.loads(text)
            if told.pop("format") != FORMAT:
                raise ValueError("another format")
            facts = _READER.validate_json(json.dumps(told, allow_nan=False))
            facts._check()
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(
                f"a member's facts in format {FORMAT} are needed, but: {_reason(error)}. "
                "Make the model again: radsearch refit"
            ) from error
        return facts

    def _check(self) -> None:
        """Hold the parts against each other."""
        count = len(self.labels)
        features = {PATCHES} if self.kind == "network" else {one.features for one in BASELINES.values()}
        laws = {
            "a known kind": self.kind in KINDS,
            "a known task": self.task in TASKS,
            "known features": self.features in features,
            "a radius": self.radius >= 0,
            "numbers for each label": count == len(self.mean) == len(self.sd) == len(self.cuts) > 0,
            "deviations above 0": all(sd > 0 for sd in self.sd),
            "a calibration of a regression": len(self.calibration) == (count if self.is_regression else 0),
        }
        for law, holds in laws.items():
            if not holds:
                raise ValueError(f"{law} must be there")


_READER: Final = TypeAdapter(MemberFacts)


def facts_of(task: Task, scored: Scored, calibrated: tuple[Calibration, ...], context: str) -> MemberFacts:
    """The facts of what was fitted to a fold.

    Args:
        task: The fold.
        scored: What was fitted.
        calibrated: Of a regression, from what it says to probabilities.
        context: Of `search.refits.fit.context_of`.
    """
    settings, targets = task.config.settings, task.targets
    name, shallow = str(settings["architecture"]), is_baseline(settings)
    return MemberFacts(
        architecture=name,
        settings=_without_places(settings),
        seed=task.seed,
        kind=KINDS[shallow],
        features=BASELINES[name].features if shallow else PATCHES,
        radius=int(settings.get("patch_radius", 1)),
        labels=targets.names,
        task=TASKS[targets.is_regression],
        parameters=scored.parameters,
        epochs=scored.best_epoch,
        mean=tuple(map(float, targets.mean)),
        sd=tuple(map(float, targets.sd)),
        cuts=tuple(map(float, targets.cuts)),
        calibration=tuple((one.slope, one.intercept) for one in calibrated),
        context=context,
    )


def _without_places(settings: Mapping[str, Value]) -> dict[str, Value]:
    """Settings fit to leave this machine: of the file of weights that training began with, the name."""
    told = dict(settings)
    if "weights" in told:
        told["weights"] = PurePath(str(told["weights"])).name
    return told


def _reason(error: Exception) -> str:
    """What is wrong, in one line."""
    if not isinstance(error, ValidationError):
        return one_line(str(error))
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    return one_line(f"{where}: {first['msg']}, got {str(first['input'])[:80]!r}")
