"""One fold of one trial, as the child runs it: from rows of the dataset to a `FoldResult`."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from data_prep.arrays import FloatArray, IntArray
from data_prep.augmentation import apply, draw
from data_prep.folds import Split, inner_split
from data_prep.inputs import model_input
from models.runtime import device_name, peak_memory_mb
from models.spec import ModelSpec, OptimizerSpec, TrainingSpec
from models.training import Samples, Trainer
from search.material import Material
from search.metrics import matching_threshold
from search.records import FoldResult, TrialConfig
from search.study_file import Study


@dataclass(frozen=True)
class _Rows:
    """Which biopsies a fold fits on, stops on (None without early stopping) and is scored on."""

    fit: IntArray
    stop: IntArray | None
    held_out: IntArray


def run_fold(
    material: Material,
    study: Study,
    config: TrialConfig,
    split_index: int,
    trainer: Trainer,
    send: Callable[[dict[str, Any]], None],
) -> FoldResult:
    """Train one fold and score the biopsies it held out.

    The held-out labels are used for nothing but the record: stopping and the decision threshold come from an
    inner, participant-grouped part of the training fold.

    Args:
        material: The study's dataset.
        study: Its settings.
        config: The trial.
        split_index: Which split of the fold table.
        trainer: Keeps compiled networks from fold to fold.
        send: Receives a message after each epoch.
    """
    started = time.monotonic()
    split = material.folds.splits()[split_index]
    labels, label_threshold = material.labels.relabel(split.train)
    seed = config.fold_seed(split_index)
    rows = _rows(material, study, split, labels, seed)
    radius = int(config.settings["patch_radius"])
    images = model_input(material.patches, radius, material.missing)
    fitted = trainer.fit(
        ModelSpec(str(config.settings["architecture"]), images.shape[1:]),
        _optimizer(config),
        _training(study, config, rows, seed),
        Samples(images[rows.fit], labels[rows.fit].astype(np.float32)),
        None if rows.stop is None else Samples(images[rows.stop], labels[rows.stop].astype(np.float32)),
        augment=_augmentation(material, study, radius, rows.fit),
        on_epoch=lambda epoch: send({"kind": "epoch", "split": split_index, **epoch}),
    )
    probability = fitted.predict(images[rows.held_out])
    threshold = (
        0.5 if rows.stop is None else matching_threshold(labels[rows.stop], fitted.predict(images[rows.stop]))
    )
    return FoldResult(
        split=split_index,
        repeat=split.repeat,
        fold=split.fold,
        rows=tuple(map(int, rows.held_out)),
        participants=tuple(map(int, material.participant[rows.held_out])),
        labels=tuple(map(int, labels[rows.held_out])),
        probabilities=tuple(map(float, probability)),
        threshold=threshold,
        label_threshold=float(label_threshold),
        curves=fitted.history,
        best_epoch=fitted.best_epoch,
        seconds=time.monotonic() - started,
        parameters=fitted.parameters,
        trainable_parameters=fitted.trainable_parameters,
        dead_parameters=fitted.dead_parameters,
        device=device_name(),
        memory_mb=peak_memory_mb(),
    )


def _rows(material: Material, study: Study, split: Split, labels: IntArray, seed: int) -> _Rows:
    if study.training.early_stopping == "none":
        return _Rows(split.train, None, split.test)
    participants = [material.patches.participant_id[row] for row in split.train]
    fit, stop = inner_split(participants, labels[split.train], seed)
    return _Rows(split.train[fit], split.train[stop], split.test)


def _optimizer(config: TrialConfig) -> OptimizerSpec:
    settings = config.settings
    return OptimizerSpec(
        str(settings["optimizer"]), float(settings["learning_rate"]), float(settings.get("momentum", 0.0))
    )


def _training(study: Study, config: TrialConfig, rows: _Rows, seed: int) -> TrainingSpec:
    patience = None if rows.stop is None else study.training.patience
    return TrainingSpec(study.training.epochs, int(config.settings["batch_size"]), seed, patience)


def _augmentation(
    material: Material, study: Study, radius: int, rows: IntArray
) -> Callable[[np.random.Generator], FloatArray] | None:
    """Fresh augmented copies of the fitted biopsies for each epoch, or None."""
    names = study.input.augmentation
    if not names:
        return None
    wide = model_input(material.patches, radius + material.margin, material.missing)[rows]

    def augment(generator: np.random.Generator) -> FloatArray:
        return apply(draw(names, len(wide), generator, material.margin), wide, radius)

    return augment
