from __future__ import annotations

import importlib.util
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import optuna
import pytest

from data_prep.problems import InputError
from mlflow_server.launch import free_port
from search.errors import BeyondWaitingError, StudyStoppedError
from search.home import Home
from search.pruner import PairedParticipantPruner
from search.sections import SearchSection
from search.storage import (
    all_studies,
    check_url,
    is_known,
    make_pruner,
    make_sampler,
    open_storage,
    open_to_read,
    storage_told,
)
from tests.postgresql import Cluster


def test_sqlite_serves_one_slot_and_is_refused_for_two(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'trials.db'}"
    check_url(url, slots=1)
    open_storage(url, Home.at(tmp_path))
    with pytest.raises(InputError, match=r"SQLite serves one slot .* but got 2 workers"):
        check_url(url, slots=2)


def test_a_storage_that_cannot_be_opened_says_so_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(StudyStoppedError, match="--storage: cannot be opened") as caught:
        open_storage(f"sqlite:///{tmp_path}/no/such/folder/trials.db", Home.at(tmp_path))
    assert "\n" not in str(caught.value)


def test_four_processes_take_every_waiting_trial_exactly_once(tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    study = optuna.create_study(study_name="s", storage=open_storage(None, home))
    for number in range(24):
        study.enqueue_trial({"x": float(number)})
    code = f"""
import optuna
from search.home import Home
from search.storage import open_storage
study = optuna.load_study(study_name="s", storage=open_storage(None, Home.at({str(tmp_path)!r})))
for _ in range(6):
    trial = study.ask()
    print(trial.suggest_float("x", 0, 100))
"""
    jobs = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    taken = [float(line) for job in jobs for line in job.communicate()[0].split()]
    assert sorted(taken) == [float(number) for number in range(24)]


def test_samplers_are_those_asked_for_and_depend_on_their_seed() -> None:
    assert isinstance(make_sampler(SearchSection(sampler="tpe"), 1, 0), optuna.samplers.TPESampler)

    def first(seed: int) -> float:
        study = optuna.create_study(sampler=make_sampler(SearchSection(sampler="random"), 1, seed))
        return study.ask().suggest_float("x", 0, 1)

    assert first(0) == first(0) != first(1)


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="PyTorch is installed")
def test_gp_without_pytorch_is_refused_before_anything_runs() -> None:
    with pytest.raises(InputError, match="'gp' needs PyTorch"):
        make_sampler(SearchSection(sampler="gp"), 1, 0)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("paired", PairedParticipantPruner),
        ("median", optuna.pruners.MedianPruner),
        ("none", optuna.pruners.NopPruner),
    ],
)
def test_the_pruner_is_always_named(name: str, kind: type) -> None:
    assert isinstance(make_pruner(SearchSection(pruner=name)), kind)


def test_a_study_that_was_not_completely_created_is_not_listed(tmp_path: Path) -> None:
    storage = open_storage(None, Home.at(tmp_path))
    optuna.create_study(study_name="half", storage=storage)
    optuna.create_study(study_name="whole", storage=storage).set_user_attr("identity", {})
    assert [study.study_name for study in all_studies(storage)] == ["whole"]


@pytest.mark.parametrize("url", [None, "sqlite:///{}/new.db", "sqlite+pysqlite:///{}/new.db", "sqlite://"])
def test_looking_for_a_study_makes_no_file(url: str | None, tmp_path: Path) -> None:
    home = Home.at(tmp_path / "home")
    place = url and url.format(tmp_path)
    assert open_to_read(place, home) is None
    assert not is_known("s", place, home)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", [None, "sqlite:///{}/trials.db"])
def test_what_is_read_is_what_was_written(url: str | None, tmp_path: Path) -> None:
    home, place = Home.at(tmp_path), url and url.format(tmp_path)
    study = optuna.create_study(study_name="s", storage=open_storage(place, home))
    study.set_user_attr("identity", {})
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir() if path.suffix != ".lock"}
    storage = open_to_read(place, home)
    assert storage is not None
    assert [found.user_attrs for found in all_studies(storage)] == [{"identity": {}}]
    study.set_user_attr("more", 1)
    assert all_studies(storage)[0].user_attrs == {"identity": {}, "more": 1}, "a page that stays open goes on"
    assert is_known("s", place, home)
    assert before.keys() == {path for path in tmp_path.iterdir() if path.suffix != ".lock"}


def test_a_database_of_another_program_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as connection:
        connection.execute("create table runs (id int)")
    connection.close()
    before = path.read_bytes()
    assert open_to_read(f"sqlite:///{path}", Home.at(tmp_path)) is None
    assert path.read_bytes() == before


def test_records_that_nobody_can_follow_are_one_line(tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    home.journal.write_text('{"op_code":4,"worker_id":"a"}\n')
    with pytest.raises(BeyondWaitingError, match="its records cannot be followed") as caught:
        open_to_read(None, home)
    assert "\n" not in str(caught.value)


def test_a_database_that_turns_us_away_is_not_waited_for_as_one_that_is_away_is(
    postgres: Cluster, database: str, tmp_path: Path
) -> None:
    for url in (database.replace("correct-horse", "wr0ng"), postgres.url("no_such")):
        for opened in (open_to_read, open_storage):
            with pytest.raises(BeyondWaitingError, match="--storage: cannot be opened"):
                opened(url, Home.at(tmp_path))
    with pytest.raises(StudyStoppedError) as caught:
        open_to_read(f"postgresql://jo@127.0.0.1:{free_port()}/x", Home.at(tmp_path))
    assert not isinstance(caught.value, BeyondWaitingError)


@pytest.mark.parametrize("url", ["nonsense", "mysql://nobody@127.0.0.1:1/x", "postgresql+none://h/x"])
def test_a_storage_that_is_none_of_ours_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--storage: .* needed"):
        open_to_read(url, Home.at(tmp_path))


@pytest.mark.parametrize("url", ["postgresql://joe:tell-nobody@127.0.0.1:1/x", "sqlite:///{}/text"])
def test_a_storage_that_cannot_be_read_says_so_in_one_line(url: str, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database")
    with pytest.raises(StudyStoppedError, match="--storage: cannot be opened") as caught:
        open_to_read(url.format(tmp_path), Home.at(tmp_path))
    assert "\n" not in str(caught.value)
    assert "tell-nobody" not in str(caught.value)


def test_a_database_on_a_full_disk_stops_the_study_in_one_line(
    tmp_path: Path, files_end_at: Callable[[int | None], None]
) -> None:
    path = tmp_path / "trials.db"
    storage = open_storage(f"sqlite:///{path}", Home.at(tmp_path))
    study = optuna.create_study(study_name="s", storage=storage)
    files_end_at(path.stat().st_size)
    many = {f"a{number}": "x" * 2000 for number in range(100)}

    def note() -> None:
        for name, text in many.items():
            study.set_user_attr(name, text)

    with pytest.raises(StudyStoppedError, match=r"--storage: .*disk.*is kept") as caught, storage_told():
        note()
    assert "\n" not in str(caught.value)


def test_processes_that_are_the_first_in_a_database_make_its_tables_together(
    database: str, tmp_path: Path
) -> None:
    """Each makes what is missing, and PostgreSQL refuses the second table of a name."""
    with ThreadPoolExecutor(6) as pool:
        storages = list(pool.map(lambda _: open_storage(database, Home.at(tmp_path)), range(6)))
    study = optuna.create_study(study_name="s", storage=storages[0])
    assert [optuna.get_all_study_names(storage) for storage in storages] == [[study.study_name]] * 6
