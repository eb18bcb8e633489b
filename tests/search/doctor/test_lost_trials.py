from __future__ import annotations

import dataclasses
import socket
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from data_prep.problems import InputError
from search.booking import book_fold, finished_folds
from search.doctor.lost_trials import check_hosts, rehearsal, take_up, unjudged
from search.owner import Owner
from search.records import FoldResult
from tests.search.doctor.doctoring import DEAD, ELSEWHERE


def running(study: optuna.Study, owner: str = DEAD, **attrs: object) -> optuna.Trial:
    trial = study.ask()
    trial.suggest_float("rate", 0.0, 1.0)
    for name, value in {"owner": owner, **attrs}.items():
        trial.set_user_attr(name, value)
    return trial


def states(study: optuna.Study) -> list[str]:
    return [trial.state.name for trial in study.get_trials()]


def test_a_dead_owners_trial_is_taken_up_and_named(
    empty_study: optuna.Study, make_fold: Callable[..., FoldResult], tmp_path: Path
) -> None:
    book_fold(running(empty_study), make_fold(0))
    running(empty_study, retries=2)
    running(empty_study, str(Owner.of()))
    found = take_up(empty_study, tmp_path / "lock", ())
    assert [(item.problem, item.subject) for item in found] == [
        ("owner dead", "trial 0"),
        ("owner dead", "trial 1"),
    ]
    assert "taken up again as trial 3" in found[0].action
    assert "lost too often" in found[1].action
    assert states(empty_study) == ["FAIL", "FAIL", "RUNNING", "WAITING"]
    assert list(finished_folds(empty_study.get_trials()[3])) == [0]
    assert take_up(empty_study, tmp_path / "lock", ()) == []


def test_a_copy_that_a_killed_reaper_left_unmade_is_made(empty_study: optuna.Study, tmp_path: Path) -> None:
    trial = running(empty_study, ending="owner lost", error="owner lost", fate="requeue")
    empty_study.tell(trial, state=TrialState.FAIL)
    (found,) = take_up(empty_study, tmp_path / "lock", ())
    assert (found.problem, found.action) == ("copy missing", "put in line again as trial 1")
    assert states(empty_study) == ["FAIL", "WAITING"]


def test_machines_that_are_written_off_are_and_others_are_not(
    empty_study: optuna.Study, tmp_path: Path
) -> None:
    running(empty_study, ELSEWHERE)
    running(empty_study, str(dataclasses.replace(Owner.of(), host="node8")))
    assert len(unjudged(empty_study)) == 2
    (found,) = take_up(empty_study, tmp_path / "lock", ("node7",))
    assert (found.subject, "on node7" in found.action) == ("trial 0", True)
    assert states(empty_study) == ["FAIL", "RUNNING", "WAITING"]
    (line,) = unjudged(empty_study)
    assert line.endswith("--lost-host node8")


def test_a_rehearsal_ends_as_the_real_thing_would_and_changes_nothing(
    empty_study: optuna.Study, make_fold: Callable[..., FoldResult], tmp_path: Path
) -> None:
    book_fold(running(empty_study), make_fold(0))
    running(empty_study, ELSEWHERE)
    before = empty_study.get_trials()
    with rehearsal(empty_study) as (copy, lock):
        rehearsed = take_up(copy, lock, ("node7",))
        ended = states(copy)
    assert empty_study.get_trials() == before
    assert take_up(empty_study, tmp_path / "lock", ("node7",)) == rehearsed
    assert states(empty_study) == ended


def test_this_machine_cannot_be_written_off() -> None:
    check_hosts(["node7"])
    with pytest.raises(InputError, match=socket.gethostname()):
        check_hosts(["node7", socket.gethostname()])
