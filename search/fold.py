"""One fold of one trial, as the child runs it: from rows of the dataset to a `FoldResult`.

The held-out labels are used for nothing but the record: stopping and the decision threshold come from an
inner, participant-grouped part of the training fold.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from data_prep.arrays import DoubleArray, IntArray
from data_prep.folds import Split, inner_split
from models.memory import peak_memory_mb
from search.material import Material
from search.metrics import matching_threshold
from search.records import FoldResult, TrialConfig
from search.study_file import Study


@dataclass(frozen=True)
class Task:
    """What one fold of one trial is given.

    Attributes:
        material: The study's dataset.
        study: Its settings.
        config: The trial.
        split: The split of the fold table.
        seed: The fold's own.
        labels: Of every biopsy, 0 or 1; the cut may come from the training fold alone.
        label_threshold: That cut.
        fit: Rows to fit on.
        stop: Rows to stop on, also of the training fold; None without early stopping.
    """

    material: Material
    study: Study
    config: TrialConfig
    split: Split
    seed: int
    labels: IntArray
    label_threshold: float
    fit: IntArray
    stop: IntArray | None

    @classmethod
    def of(cls, material: Material, study: Study, config: TrialConfig, split_index: int) -> Task:
        """The task of one split of the fold table."""
        split = material.folds.splits()[split_index]
        labels, cut = material.labels.relabel(split.train)
        seed = config.fold_seed(split_index)
        fit, stop = split.train, None
        if study.training.early_stopping != "none":
            participants = [material.patches.participant_id[row] for row in split.train]
            fit, stop = (split.train[rows] for rows in inner_split(participants, labels[split.train], seed))
        return cls(material, study, config, split, seed, labels, float(cut), fit, stop)


@dataclass(frozen=True)
class Scored:
    """What a model of any kind has to say of a fold.

    Attributes:
        held_out: Probability of label 1 of each held-out biopsy.
        stop: The same of each biopsy to stop on; None without early stopping.
        parameters: Numbers that were fitted.
        trainable_parameters: Those that training may move.
        dead_parameters: Those of them that no patch of this radius reaches.
        device: Where it ran.
        curves: Per epoch, by name.
        best_epoch: The epoch whose weights scored, 1-based; 0 for a model without epochs.
    """

    held_out: DoubleArray
    stop: DoubleArray | None
    parameters: int
    trainable_parameters: int
    device: str
    dead_parameters: int = 0
    curves: Mapping[str, Sequence[float | None]] | None = None
    best_epoch: int = 0


def run_fold(task: Task, score: Callable[[Task], Scored]) -> FoldResult:
    """Fit one fold by `score` and book what it says of the biopsies held out."""
    started = time.monotonic()
    scored = score(task)
    rows, split = task.split.test, task.split
    threshold = 0.5
    if task.stop is not None and scored.stop is not None:
        threshold = matching_threshold(task.labels[task.stop], scored.stop)
    return FoldResult(
        split=split.index,
        repeat=split.repeat,
        fold=split.fold,
        rows=tuple(map(int, rows)),
        participants=tuple(map(int, task.material.participant[rows])),
        labels=tuple(map(int, task.labels[rows])),
        probabilities=tuple(map(float, scored.held_out)),
        threshold=threshold,
        label_threshold=task.label_threshold,
        curves=scored.curves or {},
        best_epoch=scored.best_epoch,
        seconds=time.monotonic() - started,
        parameters=scored.parameters,
        trainable_parameters=scored.trainable_parameters,
        dead_parameters=scored.dead_parameters,
        device=scored.device,
        memory_mb=peak_memory_mb(),
    )
