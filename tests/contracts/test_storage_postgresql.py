"""Optuna's own tests of a storage, over the one that waits for PostgreSQL."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy
from optuna.storages import BaseStorage, RDBStorage
from optuna.testing.pytest_storages import StorageTestCase

from data_prep.problems import Problems
from search.claims import Claims
from search.hindsight import SlotStudy
from search.home import Home, StudyFolder
from search.patient import PatientStorage
from search.sections import SearchSection
from search.space import read_space
from search.storage import open_storage
from search.study_lock import lock_of
from tests.postgresql import Cluster

WAITING = 30


@pytest.fixture(scope="module")
def with_tables(postgres: Cluster) -> str:
    """The address of a database with Optuna's tables."""
    url = postgres.new_database()
    RDBStorage(url, engine_kwargs={"poolclass": sqlalchemy.NullPool})
    return url


@pytest.fixture
def storage(with_tables: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BaseStorage]:
    """What a run opens, without a study."""
    opened = open_storage(with_tables, Home(tmp_path_factory.getbasetemp()))
    assert isinstance(opened, PatientStorage)
    yield opened
    for study in opened.get_all_studies():
        opened.delete_study(study._study_id)
    opened._backend.engine.dispose()


class TestPatientStorage(StorageTestCase):
    """What holds for every storage of Optuna holds for ours."""

    test_pickle_storage = None  # nothing of ours is pickled


def test_what_one_process_writes_another_reads(storage: BaseStorage, with_tables: str) -> None:
    study = optuna.create_study(storage=storage, study_name="shared")
    other = optuna.load_study(study_name="shared", storage=RDBStorage(with_tables))
    first = study.ask()
    first.suggest_float("x", 0, 1)
    first.report(0.5, step=0)
    first.set_user_attr("owner", "me")
    assert other.trials[0].state.name == "RUNNING"
    assert other.trials[0].params == first.params
    assert other.trials[0].intermediate_values == {0: 0.5}
    study.tell(first, 0.25)
    assert [(t.value, t.user_attrs) for t in other.trials] == [(0.25, {"owner": "me"})]
    second = other.ask()
    assert [t.state.name for t in study.trials] == ["COMPLETE", "RUNNING"]
    other.tell(second, 0.125)
    assert study.best_value == 0.125


def drain(url: str, home: str, begin: Any, found: Any) -> None:
    """Take trials until there are none; to be run by a process of its own."""
    storage = open_storage(url, Home(Path(home)))
    space = read_space({"architecture": ["constant"]}, "s", Problems())
    study = SlotStudy("waiting", storage, space, optuna.pruners.NopPruner())
    lock = lock_of(storage, StudyFolder(Path(home)))
    claims = Claims(SearchSection(trials=WAITING, sampler="random"), 1, lock)
    begin.wait()
    while (trial := claims(study)) is not None:
        found.put((os.getpid(), trial.number, trial.suggest_float("x", 0, WAITING)))
        study.tell(trial, 0.0)
    found.put(None)


def test_no_waiting_trial_goes_to_two_of_four_processes(with_tables: str, tmp_path: Path) -> None:
    url, forks = with_tables, multiprocessing.get_context("fork")
    study = optuna.create_study(storage=RDBStorage(url), study_name="waiting")
    for x in range(WAITING):
        study.enqueue_trial({"x": float(x)})
    begin, found = forks.Barrier(4), forks.Queue()
    processes = [forks.Process(target=drain, args=(url, str(tmp_path), begin, found)) for _ in range(4)]
    for process in processes:
        process.start()
    left, taken = len(processes), []
    while left:
        item = found.get(timeout=120)
        left, taken = (left - 1, taken) if item is None else (left, [*taken, item])
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert sorted(x for _, _, x in taken) == list(range(WAITING))
    assert sorted(number for _, number, _ in taken) == list(range(WAITING))
    assert len({pid for pid, _, _ in taken}) > 1, "one process had them all"
