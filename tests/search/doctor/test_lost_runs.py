from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mlflow_server.launch import free_port
from search.doctor import lost_runs
from search.doctor.checkup import Report
from search.doctor.lost_pictures import Pictures
from search.doctor.lost_runs import RunsCheck, runs_check
from search.doctor.lost_trials import rehearsal
from search.errors import StudyStoppedError
from search.home import Home
from search.owner import Owner
from search.spool import SpoolFile


@pytest.fixture
def home(finished: Any, tmp_path: Path) -> Home:
    """The finished study's own files in another home; its runs are where they were."""
    home = Home.at(tmp_path / "home")
    shutil.copytree(finished.home.study("toy").root, home.study("toy").root)
    return home


@pytest.fixture
def check(finished: Any, home: Home) -> Iterator[Callable[..., RunsCheck]]:
    """Opens a dry run's check of the finished study, with or without a trial more."""
    open_ones: list[Any] = []

    def make(owner: str | None = None) -> RunsCheck:
        copy = rehearsal(finished.outcome.study)
        study, _ = copy.__enter__()
        open_ones.append(copy)
        if owner is not None:
            study.ask().set_user_attr("owner", owner)
        opened = runs_check(study, finished.study, home, finished.home.tracking_uri, dry_run=True, began=0)
        open_ones.append(opened)
        return opened.__enter__()

    yield make
    for opened in reversed(open_ones):
        opened.__exit__(None, None, None)


@pytest.fixture
def old(monkeypatch: pytest.MonkeyPatch) -> None:
    """No trial ended a moment ago."""
    monkeypatch.setattr(lost_runs, "UNOWNED_SECONDS", 0)


def found(check: RunsCheck, home: Home, finished: Any) -> set[str]:
    report = Report("", dry_run=True)
    check.deliver(report)
    check.agree(report, Pictures(home, finished.outcome.study, finished.study, check.fetch))
    return {finding.problem for finding in report.findings}


@pytest.mark.usefixtures("old")
def test_a_running_trial_is_under_way_and_its_study_is_alive(check: Callable[..., RunsCheck]) -> None:
    assert check().busy == set()
    assert check(str(Owner.of())).busy == {2}


def test_while_a_process_lives_trials_that_ended_a_moment_ago_are_under_way(
    check: Callable[..., RunsCheck], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lost_runs, "UNOWNED_SECONDS", 10**9)
    assert check().busy == set()
    assert check(str(Owner.of())).busy == {0, 1, 2}


@pytest.mark.usefixtures("old")
def test_trials_that_a_living_process_has_events_of_are_under_way(
    check: Callable[..., RunsCheck], home: Home
) -> None:
    spool = SpoolFile.create(home.study("toy").spool)
    spool.append({"op": "end", "key": "trial/1/fold/0", "time": 1, "status": "FINISHED"})
    assert check().busy == {1}
    spool.close()
    assert check().busy == set()


@pytest.mark.usefixtures("old")
def test_a_dead_process_events_are_counted_and_not_touched(
    check: Callable[..., RunsCheck], home: Home, finished: Any
) -> None:
    assert found(check(), home, finished) == set()
    spool = SpoolFile.create(home.study("toy").spool)
    spool.append({"op": "end", "key": "trial/1/fold/0", "time": 1, "status": "FINISHED"})
    spool.close()
    assert found(check(), home, finished) == {"events undelivered"}
    assert spool.path.exists()


def test_mlflows_copy_of_a_picture_is_fetched(check: Callable[..., RunsCheck], tmp_path: Path) -> None:
    opened = check()
    assert opened.fetch(1, "roc.png", tmp_path).stat().st_size > 0
    for key, name in ((1, "none.png"), (9, "roc.png")):
        with pytest.raises(LookupError, match="MLflow has no"):
            opened.fetch(key, name, tmp_path)


@pytest.mark.parametrize("dry_run", [True, False])
def test_without_a_server_there_is_nothing_to_compare(dry_run: bool, finished: Any, home: Home) -> None:
    study, uri = finished.outcome.study, f"http://jo:secret@127.0.0.1:{free_port()}"
    with (
        pytest.raises(StudyStoppedError, match=r"jo:\*\*\*@127") as stopped,
        runs_check(study, finished.study, home, uri, dry_run, began=0) as check,
    ):
        found(check, home, finished)
    assert "secret" not in str(stopped.value)


class Slow:
    """A tracker that delivers, but is never done."""

    is_cut_off = False

    def __init__(self, *_: object) -> None:
        self.asked = 0

    def flush(self, timeout: float) -> int:
        self.asked += 1
        return 7

    def close(self, timeout: float) -> int:
        return 7


def test_patience_with_a_slow_mlflow_has_an_end(
    finished: Any, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lost_runs, "Tracker", Slow)
    study, uri = finished.outcome.study, finished.home.tracking_uri
    with (
        pytest.raises(StudyStoppedError, match="after 0 s 7 events still wait"),
        runs_check(study, finished.study, home, uri, dry_run=False, began=0, patience=0) as check,
    ):
        check.deliver(Report("", dry_run=False))


def test_our_own_tracker_is_nobody_else(finished: Any, home: Home) -> None:
    study, uri = finished.outcome.study, finished.home.tracking_uri
    with runs_check(study, finished.study, home, uri, dry_run=False, began=0) as check:
        assert check.busy == set()  # the trials ended a moment ago, which counts while somebody is at work
