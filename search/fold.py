"""One fold of one trial, as the child runs it: from rows of the dataset to a `FoldResult`.

The held-out labels are used for nothing but the record: stopping and the decision threshold come from an
inner, participant-grouped part of the training fold.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from data_prep.arrays import DoubleArray, FloatArray, IntArray
from data_prep.folds import Split, inner_split
from data_prep.labels import UNKNOWN
from models.calibration import Calibration
from models.memory import peak_memory_mb
from search.material import Material
from search.metrics import matching_threshold
from search.records import FoldResult, TrialConfig
from search.refits.fit import Fit, Shuffle
from search.scenes import Scene
from search.study_file import Study
from search.targets import Targets

Values = TypeVar("Values", FloatArray, DoubleArray)

INPUT, NETWORK, BASELINE = "input.npz", "network.keras", "baseline.skops"
"""Files that a fitted model is written as: what it is shown of patches, and itself."""


@dataclass(frozen=True)
class Task:
    """What one fold of one trial is given.

    Attributes:
        material: The study's dataset.
        study: Its settings.
        config: The trial.
        split: The split of the fold table; of one that names its own rows to stop on, these are not in it.
        seed: The fold's own.
        targets: The labels of every biopsy, and what is fitted; cuts may come from the training fold alone.
        train: Rows to learn from: the training fold, where incomplete biopsies are dropped without these.
        fit: Those of them to fit on.
        stop: Rows to stop on, of the training fold too unless the fit named others; None without early
            stopping.
        shuffles: Copies of the held-out rows, a sequence of each taken from other rows, to score too.
        scenes: Other patches to score, of participants held out.
        epochs: So many, and no more, of the training that the study sets; None for as many as that decides.
    """

    material: Material
    study: Study
    config: TrialConfig
    split: Split
    seed: int
    targets: Targets
    train: IntArray
    fit: IntArray
    stop: IntArray | None
    shuffles: tuple[Shuffle, ...] = ()
    scenes: tuple[Scene, ...] = ()
    epochs: int | None = None

    @property
    def labels(self) -> IntArray:
        """Of every biopsy, 0 or 1, what is searched for; shape (biopsies,)."""
        return self.targets.labels[:, 0]

    @property
    def label_threshold(self) -> float:
        """The cut that made them, in units of the score."""
        return self.targets.thresholds[0]

    @classmethod
    def of(cls, material: Material, study: Study, config: TrialConfig, split_index: int) -> Task:
        """The task of one split of the fold table."""
        return cls.of_fit(material, study, Fit.of(config, material.folds.splits()[split_index]))

    @classmethod
    def of_fit(cls, material: Material, study: Study, fit: Fit) -> Task:
        """The task of a fit on rows of its own choice, with labels in another order where it says so."""
        whole, test = (np.array(rows, dtype=np.int64) for rows in (fit.train, fit.test))
        split = Split(fit.split, fit.repeat, fit.fold, whole, test)
        labels = material.labels if fit.order is None else material.labels.ordered(fit.order)
        targets = Targets.of(labels, whole)
        train = material.learnable(whole)
        rows, stop = train, None
        if study.training.early_stopping != "none" and fit.epochs is None:
            rows, stop = _stopping(material, fit, train, targets.labels[:, 0])
        return cls(
            material=material,
            study=study,
            config=fit.config,
            split=split,
            seed=fit.seed,
            targets=targets,
            train=train,
            fit=rows,
            stop=stop,
            shuffles=fit.shuffles,
            epochs=fit.epochs,
        )

    @property
    def scored(self) -> IntArray:
        """The rows that are scored: those held out, and once more for each copy of them."""
        return np.tile(self.split.test, 1 + len(self.shuffles))

    def held_out(self, values: Values, names: Sequence[str]) -> Values:
        """What the model is shown of the rows in `scored`.

        Args:
            values: Of every biopsy, the columns last; shape (biopsies, ..., columns).
            names: Of the columns: "T1", "T1[-1]", "T1:mean" and "has:T1" are of the sequence T1.
        """
        copies = [values[self.split.test]]
        for shuffle in self.shuffles:
            copy = copies[0].copy()
            columns = [index for index, name in enumerate(names) if is_of(name, shuffle.sequence)]
            copy[..., columns] = values[list(shuffle.rows)][..., columns]
            copies.append(copy)
        return np.concatenate(copies)


@dataclass(frozen=True)
class Scored:
    """What a model of any kind has to say of a fold.

    Attributes:
        held_out: Probabilities of K labels, or a regression's values as it learned them, of each biopsy in
            `Task.scored`; shape (m, K).
        stop: The same of each biopsy to stop on; None without early stopping.
        parameters: Numbers that were fitted.
        trainable_parameters: Those that training may move.
        dead_parameters: Those of them that no patch of this radius reaches.
        device: Where it ran.
        curves: Per epoch, by name.
        best_epoch: The epoch whose weights scored, 1-based; 0 for a model without epochs.
        scenes: The same of the patches of each scene, by its name.
        write: Writes the model, and what it is shown of patches, into a folder: `INPUT` and `NETWORK` or
            `BASELINE`. To be called before the next fit, whose weights may take the place of these.
    """

    held_out: DoubleArray
    stop: DoubleArray | None
    parameters: int
    trainable_parameters: int
    device: str
    dead_parameters: int = 0
    curves: Mapping[str, Sequence[float | None]] | None = None
    best_epoch: int = 0
    scenes: Mapping[str, DoubleArray] = field(default_factory=dict)
    write: Callable[[Path], None] | None = None


Keep = Callable[[Task, Scored, tuple[Calibration, ...]], None]
"""Takes what was fitted, and from what a regression says to probabilities."""


def is_of(column: str, sequence: str) -> bool:
    """Whether a channel or a feature is made of a sequence.

    >>> is_of("T1[-1]", "T1"), is_of("has:T1", "T1"), is_of("T1Gd:mean", "T1")
    (True, True, False)
    """
    return column in (sequence, f"has:{sequence}") or column.startswith((f"{sequence}:", f"{sequence}["))


def _stopping(material: Material, fit: Fit, train: IntArray, labels: IntArray) -> tuple[IntArray, IntArray]:
    """The rows to fit on, and those to stop on: others than the training fold's where the fit names them."""
    if fit.stop is not None:
        return train, np.array(fit.stop, dtype=np.int64)
    participants = [material.patches.participant_id[row] for row in train]
    rows, stop = inner_split(participants, labels[train], fit.seed)
    return train[rows], train[stop]


def run_fold(task: Task, score: Callable[[Task], Scored], keep: Keep | None = None) -> FoldResult:
    """Fit one fold by `score` and book what it says of the biopsies held out; `keep` may write the model."""
    started = time.monotonic()
    scored = score(task)
    rows, split, targets = task.scored, task.split, task.targets
    calibrated = targets.calibrated(scored.stop, task.stop)
    said = targets.probability(scored.held_out, calibrated)
    stop = None if scored.stop is None else targets.probability(scored.stop, calibrated)
    scenes = {name: targets.probability(told, calibrated) for name, told in scored.scenes.items()}
    values = targets.values(scored.held_out) if targets.is_regression else None
    seconds = time.monotonic() - started
    if keep is not None:
        keep(task, scored, calibrated)
    return FoldResult(
        split=split.index,
        repeat=split.repeat,
        fold=split.fold,
        rows=tuple(map(int, rows)),
        participants=tuple(map(int, task.material.participant[rows])),
        labels=tuple(map(int, task.labels[rows])),
        probabilities=tuple(map(float, said[:, 0])),
        threshold=_threshold(task, stop, 0),
        label_threshold=task.label_threshold,
        curves=scored.curves or {},
        best_epoch=scored.best_epoch,
        seconds=seconds,
        parameters=scored.parameters,
        trainable_parameters=scored.trainable_parameters,
        dead_parameters=scored.dead_parameters,
        device=scored.device,
        memory_mb=peak_memory_mb(),
        heads={name: _head(task, said, stop, values, k) for k, name in enumerate(targets.names) if k},
        values=() if values is None else tuple(map(float, values[:, 0])),
        scenes={name: {"probabilities": found[:, 0].tolist()} for name, found in scenes.items()},
    )


def _threshold(task: Task, stop: DoubleArray | None, head: int) -> float:
    """The probability above which label 1 is said, from the biopsies to stop on."""
    if stop is None or task.stop is None:
        return 0.5
    labels = task.targets.labels[task.stop, head]
    known = labels != UNKNOWN
    return matching_threshold(labels[known], stop[known, head])


def _head(
    task: Task, said: DoubleArray, stop: DoubleArray | None, values: DoubleArray | None, head: int
) -> dict[str, Any]:
    """What is booked of a further label."""
    told = {} if values is None else {"values": [float(value) for value in values[:, head]]}
    return told | {
        "labels": [int(label) for label in task.targets.labels[task.scored, head]],
        "probabilities": [float(probability) for probability in said[:, head]],
        "threshold": _threshold(task, stop, head),
        "label_threshold": task.targets.thresholds[head],
    }
