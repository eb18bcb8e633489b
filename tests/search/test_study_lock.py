from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pytest
import sqlalchemy

from search.home import Home, StudyFolder
from search.patient import LockBusyError, PatientStorage, StorageAwayError
from search.storage import open_storage
from search.study_lock import DatabaseLock, exclusive, lock_of, locked

HOLDER = """
import sys, time
from pathlib import Path
from search.home import Home
from search.storage import open_storage
from search.study_lock import exclusive, lock_of
home = Home(Path(sys.argv[2]))
with exclusive(lock_of(open_storage(sys.argv[1] or None, home), home.study("s"))):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture(params=["journal", "postgresql"])
def url(request: pytest.FixtureRequest) -> str | None:
    return None if request.param == "journal" else str(request.getfixturevalue("database"))


@pytest.fixture
def make_lock(url: str | None, tmp_path: Path) -> Callable[..., object]:
    """The lock of a study, each time of a storage opened anew; on PostgreSQL from a home of its own."""

    def make(study: str = "s", home: str = "home") -> object:
        place = Home.at(tmp_path / (home if url else "home"))
        return lock_of(open_storage(url, place), place.study(study))

    return make


@pytest.fixture
def holder(url: str | None, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", HOLDER, url or "", str(tmp_path / "home")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def taken(lock: object) -> threading.Event:
    """Set once the lock was to be had."""
    event = threading.Event()

    def take() -> None:
        with exclusive(lock):  # type: ignore[arg-type]
            event.set()

    threading.Thread(target=take, daemon=True).start()
    return event


def test_one_process_holds_it_and_a_dead_one_does_not(
    make_lock: Callable[..., object], holder: subprocess.Popen[str]
) -> None:
    waiting = taken(make_lock(home="another"))
    assert not waiting.wait(0.5)
    holder.kill()
    assert waiting.wait(10)


def test_studies_do_not_wait_for_each_other(make_lock: Callable[..., object]) -> None:
    with exclusive(make_lock("s")):  # type: ignore[arg-type]
        assert taken(make_lock("t")).wait(10)


def test_a_block_gives_its_result_and_the_lock_back(make_lock: Callable[..., object]) -> None:
    lock = make_lock()
    assert locked(lock, lambda: 7) == 7  # type: ignore[arg-type]
    with pytest.raises(KeyError):
        locked(lock, lambda: {}["x"])  # type: ignore[arg-type]
    assert taken(lock).wait(10)


@pytest.fixture
def storage(database: str, tmp_path: Path) -> PatientStorage:
    storage = open_storage(database, Home.at(tmp_path))
    assert isinstance(storage, PatientStorage)
    storage.patience.seconds = 60
    return storage


def cut_off(database: str) -> None:
    """End all other sessions of the database, as a restart of the server does."""
    engine = sqlalchemy.create_engine(database, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(
            sqlalchemy.text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    engine.dispose()


def test_a_block_that_the_database_left_is_run_again_from_its_start(
    storage: PatientStorage, database: str
) -> None:
    study = optuna.create_study(study_name="s", storage=storage)
    runs: list[int] = []

    def block() -> int:
        runs.append(len(study.get_trials()))
        if len(runs) == 1:
            cut_off(database)
            raise StorageAwayError("it left")
        return len(runs)

    assert DatabaseLock(storage, "s").run(block) == 2
    assert runs == [0, 0]


def test_a_block_whose_lock_was_lost_unnoticed_makes_no_trial_any_more(
    storage: PatientStorage, database: str
) -> None:
    """Its own connection is back by itself; the lock is not, and may be another's by now."""
    study = optuna.create_study(study_name="s", storage=storage)
    runs: list[int] = []

    def block() -> None:
        if not study.get_trials():
            runs.append(1)
            if len(runs) == 1:
                cut_off(database)
                storage.patiently(lambda: storage._backend.get_all_studies())
            study.add_trial(optuna.create_trial(state=optuna.trial.TrialState.WAITING))

    DatabaseLock(storage, "s").run(block)
    assert (len(runs), len(study.get_trials())) == (2, 1)


def test_waiting_for_a_lock_ends_when_the_run_does(storage: PatientStorage) -> None:
    told: list[str] = []
    storage.patience.tell = told.append
    with DatabaseLock(storage, "s").held():
        threading.Timer(0.5, storage.patience.stop.set).start()
        with pytest.raises(LockBusyError, match="another process holds the study's lock"):
            DatabaseLock(storage, "s").run(lambda: None)
    assert told == []


def test_what_a_block_did_counts_though_the_lock_was_lost_before_it_was_given_back(
    storage: PatientStorage, database: str
) -> None:
    runs: list[None] = []

    def block() -> str:
        runs.append(None)
        cut_off(database)
        return "done"

    assert DatabaseLock(storage, "s").run(block) == "done"
    assert len(runs) == 1


def test_a_lock_for_good_is_ones_own_until_it_is_let_go(storage: PatientStorage, database: str) -> None:
    mine, other = DatabaseLock(storage, "end"), DatabaseLock(storage, "end")
    assert mine.try_for_good()
    assert not other.try_for_good()
    assert mine.try_for_good()
    mine.let_go()
    assert other.try_for_good()
    cut_off(database)
    with pytest.raises(sqlalchemy.exc.SQLAlchemyError):
        other.try_for_good()
    assert other.try_for_good()
    other.let_go()


def test_the_lock_of_a_journal_is_a_file_of_its_home(tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    folder: StudyFolder = home.study("s")
    assert lock_of(open_storage(None, home), folder) == folder.reaper_lock
