"""Shallow baselines through the same folds as any network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.registry import BASELINES
from search.baseline import fit_shallow
from search.fold import Task, run_fold
from search.home import Home
from search.material import prepare
from search.records import FoldResult, TrialConfig
from search.study_file import Study

QUICK = {"forest_trees": 20, "nca_lambda": 1.0}


@pytest.fixture
def study(make_study: Callable[..., Study], tmp_path: Path) -> Study:
    names = ", ".join(f'"{name}"' for name in BASELINES)
    changes = ["search.enqueue=[]", "space={}", f"space.architecture=[{names}]", "space.patch_radius=[2]"]
    return make_study(tmp_path, *changes)


def task_of(study: Study, tmp_path: Path, **params: object) -> Task:
    material = prepare(study, Home.at(tmp_path / "home"), frozen=False)
    settings = study.parameters.settings({"patch_radius": 2, **params})  # type: ignore[dict-item]
    return Task.of(material, study, TrialConfig({**settings, **QUICK}, 7), 0)


def run(task: Task, tmp_path: Path) -> FoldResult:
    return run_fold(task, lambda task: fit_shallow(task, tmp_path / "cache"))


@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_gives_each_held_out_biopsy_a_probability(
    name: str, study: Study, tmp_path: Path
) -> None:
    result = run(task_of(study, tmp_path, architecture=name), tmp_path)
    assert len(result.probabilities) == len(result.rows) == 12
    assert all(0 <= p <= 1 for p in result.probabilities)
    assert result.parameters > 0
    assert (result.curves, result.best_epoch) == ({}, 0)


def test_the_constant_is_the_training_folds_prevalence(study: Study, tmp_path: Path) -> None:
    task = task_of(study, tmp_path, architecture="constant")
    result = run(task, tmp_path)
    prevalence = task.labels[task.split.train].mean()
    assert result.probabilities == pytest.approx(np.full(len(result.rows), prevalence))


def test_held_out_labels_reach_nothing_but_the_record(study: Study, tmp_path: Path) -> None:
    task = task_of(study, tmp_path, architecture="texture_logistic", selection="nca")
    labels = task.labels.copy()
    labels[task.split.test] = 1 - labels[task.split.test]
    result, other = (run(t, tmp_path) for t in (task, replace(task, labels=labels)))
    assert (other.probabilities, other.threshold) == (result.probabilities, result.threshold)
    assert other.labels != result.labels


def test_features_are_computed_once_for_all_folds(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = task_of(study, tmp_path, architecture="roi_means")
    first = run(task, tmp_path)

    def refuse(*_: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr("data_prep.features.extract._SETS", dict.fromkeys(("roi_means",), refuse))
    assert np.array_equal(first.probabilities, run(task, tmp_path).probabilities)
