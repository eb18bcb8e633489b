"""A recorded trial, run again and compared with what was recorded; nothing is written but the patch cache."""

from __future__ import annotations

import math
import tempfile
import threading
from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from data_prep.problems import InputError
from models.device import thread_counts
from search.booking import booked_settings, booked_versions, finished_folds
from search.child_process import Child
from search.claims import trial_seed
from search.composing import setup_of
from search.errors import StudyStoppedError, TrialFailedError
from search.home import Home
from search.material import Material, Progress
from search.metrics import fold_metrics
from search.opening import IDENTITY
from search.placement import Placement, place
from search.recorded import material_of, recorded_study
from search.records import FoldResult, TrialConfig
from search.study_file import Study
from search.versions import software_versions

ADVICE = "A trial is replayed on what it ran on"


@dataclass(frozen=True)
class Recording:
    """A recorded trial, and what it takes to run it again.

    Attributes:
        study: The study's settings.
        identity: What made its trials comparable.
        trial: The trial's number.
        config: Its settings and its seed.
        folds: Its finished folds, in order.
        versions: The software that ran it, by package; None where that was not recorded.
        retry_of: The trial that it took up again, with the folds that one had finished; None for none.
    """

    study: Study
    identity: Mapping[str, Any]
    trial: int
    config: TrialConfig
    folds: tuple[FoldResult, ...]
    versions: Mapping[str, str] | None
    retry_of: int | None = None


@dataclass(frozen=True)
class FoldReplay:
    """One fold, as recorded and as it came out again."""

    recorded: FoldResult
    again: FoldResult

    @property
    def metrics(self) -> dict[str, tuple[float | None, float | None]]:
        """Every metric of the fold: recorded, again."""
        again = fold_metrics(self.again.scores)
        return {name: (value, again[name]) for name, value in fold_metrics(self.recorded.scores).items()}

    @property
    def largest(self) -> float | None:
        """The largest difference of a held-out probability; None where other biopsies were held out."""
        if not self._same_biopsies:
            return None
        pairs = zip(self.recorded.probabilities, self.again.probabilities, strict=True)
        return max((abs(one - other) for one, other in pairs), default=0.0)

    @property
    def _same_biopsies(self) -> bool:
        return all(
            getattr(self.recorded, name) == getattr(self.again, name)
            for name in ("rows", "participants", "labels")
        ) and len(self.recorded.probabilities) == len(self.again.probabilities)

    def differences(self, tolerance: float) -> list[str]:
        """What differs by more than `tolerance`, in words; empty where nothing does."""
        found = [
            f"{name} was {one}, is {other}"
            for name, (one, other) in self.metrics.items()
            if _apart(one, other) > tolerance
        ]
        if self.largest is None:
            found.append("other biopsies or labels were held out")
        elif self.largest > tolerance:
            found.append(f"a probability differs by {self.largest:.3g}")
        return found


@dataclass(frozen=True)
class Replay:
    """A whole trial run again.

    Attributes:
        recording: What was recorded.
        folds: Its folds.
        tolerance: How far a metric or a probability may be from what was recorded.
    """

    recording: Recording
    folds: tuple[FoldReplay, ...]
    tolerance: float

    @property
    def differing(self) -> dict[int, list[str]]:
        """What differs, by split; splits where nothing does are left out."""
        found = {fold.recorded.split: fold.differences(self.tolerance) for fold in self.folds}
        return {split: lines for split, lines in found.items() if lines}

    @property
    def is_exact(self) -> bool:
        """Whether not a bit differs."""
        return not any(fold.differences(0.0) for fold in self.folds)

    @property
    def largest(self) -> float | None:
        """The largest difference of a probability over all folds; None where it is undefined in one."""
        found = [fold.largest for fold in self.folds]
        return None if None in found else max(value for value in found if value is not None)

    @property
    def other_versions(self) -> dict[str, tuple[str | None, str | None]]:
        """Packages whose version is another: recorded, now; None where it is not installed."""
        then, now = self.recording.versions, software_versions()
        if then is None:
            return {}
        return {
            name: (then.get(name), now.get(name))
            for name in sorted({*then, *now})
            if then.get(name) != now.get(name)
        }

    def record(self) -> dict[str, Any]:
        """What `radsearch replay --json` prints."""
        return {
            "study": self.recording.study.name,
            "trial": self.recording.trial,
            "folds": [_fold_record(fold) for fold in self.folds],
            "equal": not self.differing,
            "tolerance": self.tolerance,
            "versions": {"recorded": self.recording.versions, "now": software_versions()},
        }


def find_recording(home: Home, storage: str | None, name: str, number: int, cohort: str | None) -> Recording:
    """Look a trial up.

    Args:
        home: Where its study is.
        storage: URL of Optuna's storage; None for the journal in the home.
        name: The study's.
        number: The trial's.
        cohort: Where the cohort is now; None for where it was.

    Raises:
        InputError: There is no such study or trial, or it has no finished fold.
    """
    recorded, study = recorded_study(home, storage, name, cohort)
    trial = _trial(recorded, number)
    seed = trial_seed(study.search.seed, int(trial.user_attrs["place"]))
    return Recording(
        study=study,
        identity=recorded.user_attrs[IDENTITY],
        trial=number,
        config=TrialConfig(booked_settings(trial) or {}, seed),
        folds=tuple(finished_folds(trial).values()),
        versions=booked_versions(trial),
        retry_of=trial.user_attrs.get("retry_of"),
    )


def recorded_material(recording: Recording, home: Home, progress: Progress | None = None) -> Material:
    """The dataset of the trial's study.

    Args:
        recording: The trial.
        home: Where its study is.
        progress: Called with participants done and in all while volumes are read.

    Raises:
        InputError: The cohort, or a file of code or weights, is not the recorded one; a line a difference.
    """
    return material_of(recording.study, recording.identity, home, progress, ADVICE)


def run_again(
    recording: Recording, material: Material, home: Home, gpus: str | None
) -> Generator[FoldReplay, None, None]:
    """Run the recorded folds again, one after the other; no child is left when the iteration ends.

    A trial that was taken up again with other threads has folds of several devices: each is run on its own.

    Args:
        recording: The trial.
        material: Its study's dataset.
        home: Where its study is.
        gpus: The GPU to use; None for what each fold ran on: the CPU with as many threads, or the first GPU.

    Raises:
        InputError: The cohort was changed meanwhile.
        StudyStoppedError: A fold did not finish.
    """
    setup = setup_of(recording.study, home, material)
    with tempfile.TemporaryDirectory(prefix="radsearch-replay-") as folder:
        log = Path(folder) / "child.log"
        for device, folds in groupby(recording.folds, lambda fold: fold.device if gpus is None else ""):
            with closing(Child(setup, placement(device, gpus), log, threading.Event())) as child:
                for fold in folds:
                    yield FoldReplay(fold, _fold_again(child, recording, fold.split))


def placement(device: str, gpus: str | None) -> Placement:
    """Where to run again what ran on a device: "CPU x2", or a GPU's name.

    Sums over a varying number of threads differ in their last bits.
    """
    kind, _, threads = device.rpartition(" x")
    if gpus is not None or kind != "CPU" or not threads.isdigit():
        return place(1, gpus)[0]
    within, beside = thread_counts(int(threads), 1)
    return replace(place(1, "")[0], threads=within, inter=beside)


def _fold_again(child: Child, recording: Recording, split: int) -> FoldResult:
    try:
        return child.run_fold(recording.config, split, lambda _: None)
    except TrialFailedError as failure:
        what = f"{failure}: {failure.details}" if failure.details else str(failure)
        name = f"trial {recording.trial} of {recording.study.name}"
        raise StudyStoppedError(
            f"{name}: fold {split} did not finish again: {failure.cause}: {what}"
        ) from failure


def _trial(study: optuna.Study, number: int) -> FrozenTrial:
    trials = {trial.number: trial for trial in study.get_trials(deepcopy=False)}
    if number not in trials:
        have = f"its trials are 0 to {max(trials)}" if trials else "it has none yet"
        raise InputError(f"TRIAL: no trial {number} of study {study.study_name!r}: {have}")
    trial = trials[number]
    if not finished_folds(trial) or booked_settings(trial) is None:
        others = [str(n) for n, other in trials.items() if finished_folds(other)]
        have = f"trials that do: {', '.join(others)}" if others else "no trial has any yet"
        raise InputError(
            f"TRIAL: trial {number} of study {study.study_name!r} has no finished fold to compare with; "
            f"{have}"
        )
    return trial


def _apart(one: float | None, other: float | None) -> float:
    """How far two values of a metric lie apart; an undefined one is far from any other."""
    if one is None or other is None:
        return 0.0 if one is other else math.inf
    return abs(one - other)


def _fold_record(fold: FoldReplay) -> dict[str, Any]:
    return {
        "split": fold.recorded.split,
        "metrics": {n: {"recorded": one, "again": other} for n, (one, other) in fold.metrics.items()},
        "largest_probability_difference": fold.largest,
        "device": {"recorded": fold.recorded.device, "again": fold.again.device},
    }
