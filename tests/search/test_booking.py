from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from search import booking
from search.booking import (
    book_fold,
    book_settings,
    counts,
    finished_folds,
    key_of,
    place_in_line,
    reap,
    requeue,
)
from search.home import Home
from search.owner import Owner
from search.records import FoldResult
from search.storage import open_storage

DEAD = str(dataclasses.replace(Owner.of(), start=1))


def running(study: optuna.Study, owner: str = DEAD) -> optuna.Trial:
    trial = study.ask()
    trial.suggest_float("learning_rate", 0.0, 1.0)
    trial.set_user_attr("owner", owner)
    return trial


def lock_of(tmp_path: Path) -> Path:
    return tmp_path / "reaper.lock"


def states(study: optuna.Study) -> list[str]:
    return [trial.state.name for trial in study.get_trials()]


def test_folds_come_back_in_order(empty_study: optuna.Study, make_fold: Callable[..., FoldResult]) -> None:
    trial = running(empty_study)
    for split in (2, 0, 1):
        book_fold(trial, make_fold(split))
    assert list(finished_folds(empty_study.get_trials()[0])) == [0, 1, 2]


def test_a_dead_owners_trial_is_taken_up_by_a_copy_with_its_folds(
    empty_study: optuna.Study, make_fold: Callable[..., FoldResult], tmp_path: Path
) -> None:
    trial = running(empty_study)
    book_settings(trial, trial.params)
    book_fold(trial, make_fold(0))
    trial.report(0.7, step=0)
    assert reap(empty_study, lock_of(tmp_path)) == [0]
    lost, copy = empty_study.get_trials()
    assert (lost.state, copy.state) == (TrialState.FAIL, TrialState.WAITING)
    assert copy.params == lost.params
    assert list(finished_folds(copy)) == [0]
    assert copy.intermediate_values == {0: 0.7}
    assert "owner" not in copy.user_attrs
    assert (copy.user_attrs["retry_of"], key_of(copy)) == (0, 0)


def test_the_copy_is_the_next_trial_asked_for(empty_study: optuna.Study, tmp_path: Path) -> None:
    trial = running(empty_study)
    book_settings(trial, trial.params)
    reap(empty_study, lock_of(tmp_path))
    again = empty_study.ask()
    assert again.suggest_float("learning_rate", 0.0, 1.0) == trial.params["learning_rate"]


def test_a_living_owners_trial_is_left_alone_and_an_unowned_one_is_taken_up(
    empty_study: optuna.Study, tmp_path: Path
) -> None:
    """In a home whoever asks for a trial holds the lock until the trial has its owner."""
    running(empty_study, str(Owner.of()))
    empty_study.ask()
    assert reap(empty_study, lock_of(tmp_path)) == [1]
    assert states(empty_study) == ["RUNNING", "FAIL", "WAITING"]


def test_in_a_database_that_homes_share_an_unowned_trial_is_taken_up_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = optuna.create_study(storage=f"sqlite:///{tmp_path}/shared.db")
    study.ask()
    assert reap(study, lock_of(tmp_path)) == []
    monkeypatch.setattr(booking, "UNOWNED_SECONDS", -1)
    assert reap(study, lock_of(tmp_path)) == [0]


def test_a_trial_that_died_while_it_was_sampled_is_sampled_anew_in_its_place(
    empty_study: optuna.Study, tmp_path: Path
) -> None:
    """Half of its parameters beside the other half of another draw would be another trial."""
    running(empty_study)
    reap(empty_study, lock_of(tmp_path))
    assert empty_study.get_trials()[1].params == {}
    assert place_in_line(empty_study.get_trials()) == 0


def test_what_one_attempt_was_ended_for_is_not_its_copys(empty_study: optuna.Study, tmp_path: Path) -> None:
    """The process died between the noting and the ending."""
    trial = running(empty_study)
    trial.set_user_attr("ending", "out of memory")
    trial.set_user_attr("oom", 1)
    reap(empty_study, lock_of(tmp_path))
    assert set(empty_study.get_trials()[1].user_attrs) == {"retry_of", "key", "retries"}


def test_an_interruption_that_died_half_way_gives_no_retry_beyond_the_second(
    empty_study: optuna.Study, tmp_path: Path
) -> None:
    trial = running(empty_study)
    trial.set_user_attr("retries", 2)
    trial.set_user_attr("fate", "requeue")
    reap(empty_study, lock_of(tmp_path))
    assert states(empty_study) == ["FAIL"]


def test_reaping_twice_or_from_many_sides_makes_one_copy(empty_study: optuna.Study, tmp_path: Path) -> None:
    running(empty_study)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: reap(empty_study, lock_of(tmp_path)), range(8)))
    assert states(empty_study) == ["FAIL", "WAITING"]


def test_a_reaper_that_died_before_the_copy_is_completed(empty_study: optuna.Study, tmp_path: Path) -> None:
    trial = running(empty_study)
    trial.set_user_attr("fate", "requeue")
    empty_study.tell(trial, state=TrialState.FAIL)
    assert reap(empty_study, lock_of(tmp_path)) == reap(empty_study, lock_of(tmp_path)) == []
    assert states(empty_study) == ["FAIL", "WAITING"]


def test_a_trial_lost_three_times_stays_failed(empty_study: optuna.Study, tmp_path: Path) -> None:
    running(empty_study)
    for _ in range(4):
        reap(empty_study, lock_of(tmp_path))
        waiting = empty_study.get_trials(states=(TrialState.WAITING,))
        if waiting:
            empty_study.ask().set_user_attr("owner", DEAD)
    assert states(empty_study) == ["FAIL", "FAIL", "FAIL"]
    assert [counts(trial) for trial in empty_study.get_trials()] == [False, False, True]


def test_interruptions_do_not_use_up_retries(empty_study: optuna.Study, tmp_path: Path) -> None:
    running(empty_study)
    for _ in range(5):
        trial = empty_study.get_trials()[-1]
        requeue(empty_study, trial, "interrupted", lock_of(tmp_path))
        empty_study.ask()
    assert empty_study.get_trials()[-1].user_attrs["retries"] == 0


def test_a_slot_and_a_reaper_together_make_one_copy_each(empty_study: optuna.Study, tmp_path: Path) -> None:
    """Both look for copies that are missing; between the looking and the making nobody else may look."""
    for _ in range(8):
        running(empty_study)
    trials = empty_study.get_trials()
    with ThreadPoolExecutor(8) as pool:
        slots = [
            pool.submit(requeue, empty_study, trial, "child lost", lock_of(tmp_path)) for trial in trials[:4]
        ]
        reapers = [pool.submit(reap, empty_study, lock_of(tmp_path)) for _ in range(4)]
        for done in (*slots, *reapers):
            done.result()
    origins = [t.user_attrs["retry_of"] for t in empty_study.get_trials(states=(TrialState.WAITING,))]
    assert sorted(origins) == list(range(8))


def test_who_is_told_of_a_lost_trial_is_told_before_anybody_can_take_it_up(
    empty_study: optuna.Study, tmp_path: Path
) -> None:
    running(empty_study)
    told: list[tuple[str, str, list[str]]] = []
    reap(
        empty_study,
        lock_of(tmp_path),
        lambda trial: told.append((trial.state.name, trial.user_attrs["ending"], states(empty_study))),
    )
    assert told == [("FAIL", "owner lost", ["FAIL"])]
    assert states(empty_study) == ["FAIL", "WAITING"]


def test_a_zombies_late_word_is_refused(empty_study: optuna.Study, tmp_path: Path) -> None:
    trial = running(empty_study)
    reap(empty_study, lock_of(tmp_path))
    with pytest.raises(ValueError, match="Cannot tell a FAIL trial"):
        empty_study.tell(trial, 0.9)


def test_a_process_killed_while_it_runs_a_trial_leaves_nothing_running(tmp_path: Path) -> None:
    code = f"""
import os, optuna
from search.home import Home
from search.owner import Owner
from search.storage import open_storage
study = optuna.create_study(study_name="s", storage=open_storage(None, Home.at({str(tmp_path)!r})))
study.ask().set_user_attr("owner", str(Owner.of()))
os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    study = optuna.load_study(study_name="s", storage=open_storage(None, Home.at(tmp_path)))
    assert states(study) == ["RUNNING"]
    reap(study, lock_of(tmp_path))
    assert states(study) == ["FAIL", "WAITING"]
