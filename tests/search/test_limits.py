from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from unittest import mock

import optuna
import pytest
from optuna.trial import TrialState

from search import limits
from search.booking import book_fold, book_settings, requeue
from search.limits import StudyLimit, TrialLimit
from search.records import FoldResult

MakeFold = Callable[..., FoldResult]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, in its one entry."""
    now = [100.0]
    monkeypatch.setattr(limits.time, "monotonic", lambda: now[0])
    return now


def trial_of(
    study: optuna.Study, make_fold: MakeFold, seconds: tuple[float, ...], architecture: str = "small_cnn"
) -> optuna.Trial:
    """A trial whose folds took so long."""
    trial = study.ask()
    book_settings(trial, {"architecture": architecture})
    for split, took in enumerate(seconds):
        book_fold(trial, make_fold(split, seconds=took))
    return trial


def allowed(study: optuna.Study, timeout: float, trial_timeout: float | None = None) -> bool:
    trials = study.get_trials()
    with mock.patch.object(limits.time, "monotonic", return_value=100.0):
        return StudyLimit(timeout, 3, trial_timeout, lambda _: None).allows(trials)


def test_a_trials_time_is_that_of_its_booked_folds_and_of_the_one_that_runs(make_fold: MakeFold) -> None:
    limit = TrialLimit.of(10.0, [make_fold(0, seconds=2.5), make_fold(1, seconds=4.0)])
    assert limit.left == 3.5
    failure = limit.passed(3.7)
    assert failure.cause == "over time"
    assert "may take 10 s (search.trial_timeout), but this one was stopped after 10.2 s" in str(failure)


def test_without_a_limit_a_trial_has_all_the_time(make_fold: MakeFold) -> None:
    assert TrialLimit.of(None, [make_fold(0, seconds=1e9)]).left == float("inf")


def test_the_first_trial_always_starts(empty_study: optuna.Study) -> None:
    assert allowed(empty_study, timeout=0.01)


def test_a_trial_starts_only_if_its_folds_at_the_pace_so_far_fit_into_the_time_left(
    empty_study: optuna.Study, make_fold: MakeFold, clock: list[float]
) -> None:
    trial_of(empty_study, make_fold, (10.0, 20.0, 30.0))
    limit = StudyLimit(100.0, 3, None, lambda _: None)
    assert limit.allows(empty_study.get_trials())
    clock[0] += 40.0
    assert limit.allows(empty_study.get_trials())
    clock[0] += 0.1
    assert not limit.allows(empty_study.get_trials())


def test_the_pace_is_that_of_the_slowest_tenth(empty_study: optuna.Study, make_fold: MakeFold) -> None:
    for seconds in range(1, 12):
        trial_of(empty_study, make_fold, (float(seconds),))
    assert allowed(empty_study, timeout=3 * 10.1)
    assert not allowed(empty_study, timeout=3 * 9.9)


def test_a_trial_that_waits_is_expected_to_take_what_its_architecture_takes(
    empty_study: optuna.Study, make_fold: MakeFold
) -> None:
    trial_of(empty_study, make_fold, (100.0,), "resnet152")
    trial_of(empty_study, make_fold, (1.0,), "small_cnn")
    assert not allowed(empty_study, timeout=50.0)
    empty_study.enqueue_trial({"architecture": "small_cnn"})
    assert allowed(empty_study, timeout=50.0)


def test_an_architecture_never_seen_takes_what_the_others_take(
    empty_study: optuna.Study, make_fold: MakeFold
) -> None:
    trial_of(empty_study, make_fold, (20.0,), "small_cnn")
    empty_study.enqueue_trial({"architecture": "resnet50"})
    assert allowed(empty_study, timeout=61.0)
    assert not allowed(empty_study, timeout=59.0)


def test_a_retried_trial_needs_time_for_its_missing_folds_alone(
    empty_study: optuna.Study, make_fold: MakeFold, tmp_path: Path
) -> None:
    trial_of(empty_study, make_fold, (10.0, 10.0))
    requeue(empty_study, empty_study.get_trials()[0], "interrupted", tmp_path / "reaper.lock")
    assert [trial.state for trial in empty_study.get_trials()] == [TrialState.FAIL, TrialState.WAITING]
    assert allowed(empty_study, timeout=10.1)
    assert not allowed(empty_study, timeout=9.9)


def test_no_trial_is_expected_to_take_longer_than_trials_may(
    empty_study: optuna.Study, make_fold: MakeFold
) -> None:
    trial_of(empty_study, make_fold, (100.0,))
    assert not allowed(empty_study, timeout=50.0)
    assert allowed(empty_study, timeout=50.0, trial_timeout=40.0)


def test_the_user_is_told_once(empty_study: optuna.Study, make_fold: MakeFold) -> None:
    trial_of(empty_study, make_fold, (20.0,))
    told: list[str] = []
    limit = StudyLimit(30.0, 3, None, told.append)
    assert [limit.allows(empty_study.get_trials()) for _ in range(3)] == [False] * 3
    assert len(told) == 1
    assert "one is expected to take 60.0 s, and 30.0 s are left of the time limit of 30 s" in told[0]


def test_a_study_without_a_limit_starts_every_trial(empty_study: optuna.Study, make_fold: MakeFold) -> None:
    trial_of(empty_study, make_fold, (1e9,))
    assert StudyLimit(None, 3, None, pytest.fail).allows(empty_study.get_trials())


def test_what_was_read_of_finished_trials_holds_and_running_ones_are_read_again(
    empty_study: optuna.Study, make_fold: MakeFold, tmp_path: Path, clock: list[float]
) -> None:
    """A limit that looked before says what one says that looks for the first time."""
    kept = StudyLimit(100.0, 3, None, lambda _: None)
    lock, answers = tmp_path / "reaper.lock", []
    for seconds in (10.0, 30.0, 34.0, 20.0):
        for step in range(3):
            if step == 0:
                trial = trial_of(empty_study, make_fold, (seconds,))
            if step == 1:
                book_fold(trial, make_fold(1, seconds=2 * seconds))
            if step == 2 and seconds == 30.0:
                requeue(empty_study, empty_study.get_trials()[trial.number], "interrupted", lock)
            elif step == 2:
                empty_study.tell(trial, 0.5)
            now = empty_study.get_trials()
            answers.append(kept.allows(now))
            assert answers[-1] == StudyLimit(100.0, 3, None, lambda _: None).allows(now)
    assert set(answers) == {True, False}
