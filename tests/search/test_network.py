"""What a fold may look at: a recording trainer shows every array that reaches training."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from data_prep.augmentation import epoch_generator
from data_prep.inputs import channel_layout, lay_out
from search.fold import Task, run_fold
from search.home import Home
from search.material import Material, prepare
from search.network import train_network
from search.records import FoldResult, TrialConfig
from search.study_file import Study

SETTINGS = {
    "architecture": "small_cnn",
    "optimizer": "sgd",
    "learning_rate": 0.001,
    "batch_size": 9,
    "patch_radius": 3,
    "momentum": 0.5,
}


class RecordingTrainer:
    """Keeps what it is given and predicts the mean of each patch."""

    def __init__(self) -> None:
        self.given: dict[str, Any] = {}

    def fit(self, model: Any, optimizer: Any, training: Any, fit: Any, stop: Any, **hooks: Any) -> Any:
        self.given = {"model": model, "optimizer": optimizer, "training": training, "fit": fit, "stop": stop}
        self.given |= hooks
        if hooks["on_epoch"]:
            hooks["on_epoch"]({"epoch": 1, "loss": 0.7})
        return SimpleNamespace(
            predict=lambda x: 1 / (1 + np.exp(-x.mean(axis=(1, 2, 3)).astype(float))),
            history={"loss": [0.7]},
            best_epoch=1,
            parameters=10,
            trainable_parameters=9,
            dead_parameters=3,
        )


@pytest.fixture
def material(make_study: Callable[..., Study], tmp_path: Path) -> tuple[Study, Material]:
    study = make_study(tmp_path)
    return study, prepare(study, Home.at(tmp_path / "home"), frozen=False)


def played(
    material: Material, study: Study, split: int = 0, **changes: Any
) -> tuple[FoldResult, dict[str, Any], list[Any]]:
    trainer, sent = RecordingTrainer(), list[Any]()
    settings = study.parameters.settings({**SETTINGS, **changes})
    task = Task.of(material, study, TrialConfig(settings, 7), split)
    result = run_fold(task, lambda task: train_network(task, trainer, sent.append))  # type: ignore[arg-type]
    return result, trainer.given, sent


def rows_of(x: np.ndarray, images: np.ndarray) -> set[int]:
    """Which of `images` are in `x`; every patch of the toy cohort is different."""
    keys = {image.tobytes(): row for row, image in enumerate(images)}
    return {keys[image.tobytes()] for image in x}


def test_fit_stop_and_held_out_biopsies_are_apart_and_no_participant_is_shared(
    material: tuple[Study, Material],
) -> None:
    study, data = material
    result, given, _ = played(data, study)
    images = lay_out(data.patches, 3, channel_layout(data.patches, "mask"))
    fit, stop = rows_of(given["fit"].x, images), rows_of(given["stop"].x, images)
    groups = [{int(data.participant[row]) for row in rows} for rows in (fit, stop, result.rows)]
    assert len(fit) + len(stop) + len(result.rows) == 36
    assert not groups[0] & groups[1]
    assert not (groups[0] | groups[1]) & groups[2]


def test_held_out_labels_reach_nothing_but_the_record(material: tuple[Study, Material]) -> None:
    study, data = material
    result, given, _ = played(data, study)
    score, rows = data.labels.score.copy(), list(result.rows)
    score[rows] = 2 * data.labels.threshold - score[rows]
    labels = dataclasses.replace(data.labels, score=score, label=(score > data.labels.threshold).astype(int))
    corrupt = dataclasses.replace(data, labels=labels)
    other, same, _ = played(corrupt, study)
    for side in ("fit", "stop"):
        assert given[side].x.tobytes() == same[side].x.tobytes()
        assert given[side].y.tobytes() == same[side].y.tobytes()
    assert (other.probabilities, other.threshold) == (result.probabilities, result.threshold)
    assert other.labels == tuple(1 - label for label in result.labels)


def test_held_out_images_reach_no_training_array(material: tuple[Study, Material]) -> None:
    study, data = material
    result, given, _ = played(data, study)
    raw = data.patches.raw.copy()
    raw[list(result.rows)] *= -3
    corrupt = dataclasses.replace(data, patches=dataclasses.replace(data.patches, raw=raw))
    _, same, _ = played(corrupt, study)
    assert given["fit"].x.tobytes() == same["fit"].x.tobytes()
    assert given["stop"].x.tobytes() == same["stop"].x.tobytes()


def test_the_trial_decides_network_optimizer_and_batch(material: tuple[Study, Material]) -> None:
    study, data = material
    result, given, sent = played(data, study, split=1)
    assert given["model"].input_shape == (7, 7, 3)
    assert (given["optimizer"].name, given["optimizer"].momentum) == ("sgd", 0.5)
    assert (given["training"].batch_size, given["training"].epochs) == (9, 2)
    assert given["training"].seed == TrialConfig(SETTINGS, 7).fold_seed(1)
    assert sent == [{"kind": "epoch", "split": 1, "epoch": 1, "loss": 0.7}]
    assert result.split == 1


def test_without_early_stopping_the_whole_training_fold_is_fitted(
    material: tuple[Study, Material], make_study: Callable[..., Study], tmp_path: Path
) -> None:
    _, data = material
    result, given, _ = played(data, make_study(tmp_path, "training.early_stopping=none"))
    assert given["stop"] is None
    assert given["training"].patience is None
    assert len(given["fit"].x) == 36 - len(result.rows)
    assert result.threshold == 0.5


def test_augmentation_is_drawn_for_fitted_biopsies_alone(
    make_study: Callable[..., Study], tmp_path: Path
) -> None:
    study = make_study(tmp_path, "input.augmentation=['flip', 'rotate', 'jitter']")
    data = prepare(study, Home.at(tmp_path / "home"), frozen=False)
    _, given, _ = played(data, study)
    one, other = (given["augment"](np.random.default_rng(seed)) for seed in (0, 1))
    assert one.shape == given["fit"].x.shape
    assert not np.array_equal(one, other)
    assert np.array_equal(one, given["augment"](np.random.default_rng(0)))
    _, plain, _ = played(data, make_study(tmp_path))
    assert plain["augment"] is None


def test_a_trial_that_searches_augmentation_has_its_own(
    make_study: Callable[..., Study], tmp_path: Path
) -> None:
    study = make_study(tmp_path, "space.flip=[true, false]", "space.jitter=[0.0, 1.0]")
    data = prepare(study, Home.at(tmp_path / "home"), frozen=False)
    assert played(data, study, flip=False, jitter=0.0)[1]["augment"] is None
    flipped = played(data, study, flip=True, jitter=0.0)[1]
    copies = flipped["augment"](np.random.default_rng(0))
    assert np.array_equal(np.sort(copies, axis=None), np.sort(flipped["fit"].x, axis=None))
    assert not np.array_equal(copies, flipped["fit"].x)


def test_what_an_epoch_was_trained_on_can_be_had_again_from_the_recorded_seed(
    make_study: Callable[..., Study], tmp_path: Path
) -> None:
    """Two runs of the same fold, the second asked for epoch 5 alone."""
    study = make_study(tmp_path, "input.augmentation=['flip', 'rotate-free', 'jitter', 'intensity']")
    data = prepare(study, Home.at(tmp_path / "home"), frozen=False)
    first, again = (played(data, study)[1] for _ in range(2))
    seed = first["training"].seed
    seen = [first["augment"](epoch_generator(seed, epoch)) for epoch in range(1, 6)]
    assert np.array_equal(again["augment"](epoch_generator(seed, 5)), seen[-1])


def test_training_thresholds_label_each_fold_by_its_own_training_median(
    make_study: Callable[..., Study], tmp_path: Path
) -> None:
    study = make_study(tmp_path, "label.threshold_from=training")
    data = prepare(study, Home.at(tmp_path / "home"), frozen=False)
    result, _, _ = played(data, study)
    train = [row for row in range(36) if row not in result.rows]
    assert result.label_threshold == pytest.approx(np.median(data.labels.score[train]))
    assert result.labels == tuple(int(data.labels.score[row] > result.label_threshold) for row in result.rows)


def study_of(make_study: Callable[..., Study], folder: Path, *overrides: str) -> tuple[Study, Material]:
    study = make_study(folder, *overrides)
    return study, prepare(study, Home.at(folder / "home"), frozen=False)


def test_a_regression_is_given_standardised_values_and_no_labels(
    make_study: Callable[..., Study], tmp_path: Path
) -> None:
    study, material = study_of(make_study, tmp_path, "label.rule=log-tpm")
    result, given, _ = played(material, study)
    split = material.folds.splits()[0]
    learned = np.concatenate([given["fit"].y, given["stop"].y])
    value = material.labels.value[split.train]
    assert sorted(learned) == pytest.approx(sorted((value - value.mean()) / value.std()), abs=1e-5)
    assert (given["model"].task, given["model"].outputs) == ("regression", 1)
    assert len(result.values) == len(split.test)
    assert (np.argsort(result.values) == np.argsort(result.probabilities)).all()


def test_further_labels_are_given_to_one_network_beside_the_first(
    make_study: Callable[..., Study], tmp_path: Path
) -> None:
    study, material = study_of(
        make_study, tmp_path, "label.genes=['CD3D', 'CD3E']", "label.combine=multi-label"
    )
    trainer = RecordingTrainer()
    task = Task.of(material, study, TrialConfig(study.parameters.settings(SETTINGS), 7), 0)
    fit = trainer.fit

    def two(*args: Any, **hooks: Any) -> Any:
        fitted = fit(*args, **hooks)
        return SimpleNamespace(
            **vars(fitted)
            | {"predict": lambda x: np.stack([np.full(len(x), 0.4), np.full(len(x), 0.6)], axis=1)}
        )

    trainer.fit = two  # type: ignore[method-assign]
    result = run_fold(task, lambda task: train_network(task, trainer, lambda _: None))  # type: ignore[arg-type]
    assert (trainer.given["fit"].y.shape[1], trainer.given["model"].outputs) == (2, 2)
    assert set(result.probabilities) == {0.4}
    assert set(result.heads["CD3E"]["probabilities"]) == {0.6}
    heads = material.labels.heads(task.split.train)
    assert result.heads["CD3E"]["labels"] == heads[1].label[task.split.test].tolist()


def test_dropped_biopsies_reach_no_training_array_and_are_scored(
    make_study: Callable[..., Study], tmp_path: Path
) -> None:
    make_study(tmp_path)
    (tmp_path / "cohort" / "sub-004" / "T2.nii.gz").unlink()
    study, material = study_of(make_study, tmp_path, "input.missing=drop")
    split = next(
        s
        for s in material.folds.splits()
        if "sub-004" not in {material.folds.participant_id[r] for r in s.test}
    )
    result, given, _ = played(material, study, split.index)
    images = lay_out(material.patches, 3, channel_layout(material.patches, "drop"))
    taught = rows_of(np.concatenate([given["fit"].x, given["stop"].x]), images)
    assert taught == {int(row) for row in split.train if material.complete[row]}
    assert result.rows == tuple(map(int, split.test))
