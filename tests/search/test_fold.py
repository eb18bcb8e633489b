"""What a fold books of what a model says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from search.fold import Scored, Task, run_fold
from search.home import Home
from search.material import prepare
from search.records import TrialConfig
from search.study_file import Study


@pytest.fixture
def task(make_study: Callable[..., Study], tmp_path: Path) -> Task:
    study = make_study(tmp_path)
    material = prepare(study, Home.at(tmp_path / "home"), frozen=False)
    return Task.of(material, study, TrialConfig({"architecture": "small_cnn"}, 7), 1)


def knowing(task: Task) -> Scored:
    """Probabilities that are right, 0.6 and 0.2, and not around one half."""
    right = np.where(task.labels == 1, 0.6, 0.2)
    stop = None if task.stop is None else right[task.stop]
    return Scored(right[task.split.test], stop, parameters=3, trainable_parameters=2, device="CPU x1")


def test_the_threshold_comes_from_the_biopsies_to_stop_on(task: Task) -> None:
    result = run_fold(task, knowing)
    assert 0.2 <= result.threshold < 0.6
    assert (result.scores.predicted == result.scores.label).all()


def test_a_fold_without_biopsies_to_stop_on_cuts_at_one_half(
    make_study: Callable[..., Study], tmp_path: Path
) -> None:
    study = make_study(tmp_path, "training.early_stopping=none")
    material = prepare(study, Home.at(tmp_path / "home"), frozen=False)
    whole = Task.of(material, study, TrialConfig({}, 7), 0)
    assert whole.stop is None
    assert sorted([*whole.fit, *whole.split.test]) == list(range(36))
    assert run_fold(whole, knowing).threshold == 0.5


def test_a_result_is_booked_for_each_biopsy_held_out_and_for_no_other(task: Task) -> None:
    result = run_fold(task, knowing)
    assert result.rows == tuple(task.split.test)
    assert (result.split, result.parameters, result.trainable_parameters) == (1, 3, 2)
    assert result.participants == tuple(task.material.participant[task.split.test])
    assert result.seconds >= 0
    assert result.memory_mb > 0


def test_the_same_trial_and_split_give_the_same_task(task: Task) -> None:
    again = Task.of(task.material, task.study, task.config, 1)
    assert again.seed == task.seed
    assert np.array_equal(again.fit, task.fit)
    other = Task.of(task.material, task.study, TrialConfig({}, 8), 1)
    assert other.seed != task.seed
