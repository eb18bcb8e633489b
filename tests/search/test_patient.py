from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import psycopg
import pytest
import sqlalchemy
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import InMemoryStorage, RDBStorage
from optuna.trial import TrialState
from sqlalchemy.exc import IntegrityError, OperationalError

from search.errors import StudyStoppedError
from search.home import Home
from search.patient import Patience, PatientStorage, StorageAwayError, be_patient, hastily
from search.storage import open_storage, storage_told
from tests.postgresql import PASSWORD, Cluster

GONE = "server closed the connection unexpectedly"


def outage(text: str = GONE) -> OperationalError:
    return OperationalError("SELECT 1", {}, psycopg.OperationalError(text))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries follow each other at once."""
    monkeypatch.setattr("search.patient.FIRST_PAUSE", 0.001)
    monkeypatch.setattr("search.patient.LONGEST_PAUSE", 0.001)


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def storage(tmp_path: Path, told: list[str], quick: None) -> PatientStorage:
    """A patient storage whose database is a file, and which is away where a test says so."""
    backend = RDBStorage(f"sqlite:///{tmp_path / 'trials.db'}")
    return PatientStorage(backend, Patience(60.0, told.append))


def failing(times: int, error: Callable[[], Exception] = outage) -> Callable[[], str]:
    """A call that fails so often, and is answered then."""
    left = [times]

    def call() -> str:
        left[0] -= 1
        if left[0] >= 0:
            raise error()
        return "answer"

    return call


def wrapped() -> StorageInternalError:
    """As Optuna passes an error on."""
    error = StorageInternalError("An exception is raised during the commit.")
    error.__cause__ = outage()
    return error


@pytest.mark.parametrize("error", [outage, wrapped])
def test_a_call_is_repeated_until_the_database_answers_and_told_of_once(
    storage: PatientStorage, told: list[str], error: Callable[[], Exception]
) -> None:
    assert storage.patiently(failing(5, error)) == "answer"
    assert [line.partition(" after")[0] for line in told] == [
        f"the database does not answer; training goes on, and it is tried again for 1 min: {GONE}",
        "the database answers again",
    ]
    storage.patiently(failing(1, error))
    assert len(told) == 4, "another outage is another line"


@pytest.mark.parametrize(
    "error",
    [
        lambda: KeyError("no such trial"),
        lambda: IntegrityError("INSERT", {}, psycopg.errors.UniqueViolation("twice")),
        lambda: UpdateFinishedTrialError("it has ended"),
    ],
)
def test_what_is_no_outage_is_raised_at_once(
    storage: PatientStorage, told: list[str], error: Callable[[], Exception]
) -> None:
    call = failing(1, error)
    with pytest.raises(type(error())):
        storage.patiently(call)
    assert call() == "answer", "it was tried once"
    assert told == []


def test_an_outage_that_is_too_long_stops_the_study_without_telling_the_password(
    storage: PatientStorage,
) -> None:
    storage.patience = Patience(0.0)
    text = f"connection to postgresql://me:{PASSWORD}@db/studies failed"
    with pytest.raises(StudyStoppedError, match="What is finished is kept") as caught:
        storage.patiently(failing(9, lambda: outage(text)))
    assert PASSWORD not in str(caught.value)


def test_a_run_that_is_stopped_waits_no_longer(storage: PatientStorage) -> None:
    stop = threading.Event()
    tries = []

    def call() -> None:
        tries.append(1)
        stop.set()
        raise outage()

    be_patient(storage, Patience(stop=stop))
    with pytest.raises(StorageAwayError):
        storage.patiently(call)
    assert len(tries) == 1


def test_in_haste_this_thread_is_told_at_once_and_the_others_wait(storage: PatientStorage) -> None:
    with hastily(storage), hastily(storage), pytest.raises(StorageAwayError, match=GONE):
        storage.patiently(failing(1))
    answers: list[str] = []
    with hastily(storage):
        other = threading.Thread(target=lambda: answers.append(storage.patiently(failing(3))))
        other.start()
        other.join()
        with hastily(storage):
            pass
        with pytest.raises(StorageAwayError):
            storage.patiently(failing(1))
    assert answers == ["answer"]
    assert storage.patiently(failing(3)) == "answer"


class Asked(BaseException):
    """What a signal raises, wherever the process is at that moment."""


def test_a_signal_in_the_middle_of_a_call_is_what_is_told(
    database: str, quick: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An old connection is first asked for a sign of life, and then cannot be set back without an answer."""
    study = optuna.create_study(storage=open_storage(database, Home.at(tmp_path)))
    assert study.get_trials() == []
    wait, asked = psycopg.Connection.wait, list[str]()

    def interrupted(self: Any, call: Any, *args: Any, **kwargs: Any) -> Any:
        if asked:
            return wait(self, call, *args, **kwargs)
        try:
            next(call)
        except StopIteration as end:  # nothing to wait for
            return end.value
        asked.append(self.info.transaction_status.name)
        raise Asked

    monkeypatch.setattr(psycopg.Connection, "wait", interrupted)
    with pytest.raises(Asked), storage_told():
        study.get_trials()
    assert asked == ["ACTIVE"]  # the answer had not come
    assert study.get_trials() == []


def test_a_storage_without_a_database_is_never_away() -> None:
    with hastily(InMemoryStorage()):
        pass


def lose_answers(storage: PatientStorage, monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Have the first call of each method be carried out, and its answer be lost."""
    for name in names:
        method, calls = getattr(storage._cached, name), [0]

        def call(*args: Any, method: Any = method, calls: list[int] = calls, **kwargs: Any) -> Any:
            result = method(*args, **kwargs)
            calls[0] += 1
            if calls[0] == 1:
                raise outage()
            return result

        monkeypatch.setattr(storage._cached, name, call)


WRITES = (
    "set_study_user_attr",
    "set_study_system_attr",
    "set_trial_param",
    "set_trial_user_attr",
    "set_trial_system_attr",
    "set_trial_intermediate_value",
    "set_trial_state_values",
)


def test_what_was_carried_out_and_never_answered_is_not_done_twice(
    storage: PatientStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose_answers(storage, monkeypatch, *WRITES)
    study = optuna.create_study(storage=storage)
    study.set_user_attr("metric", "auc")
    storage.set_study_system_attr(study._study_id, "definition", "{}")
    trial = study.ask()
    x = trial.suggest_float("x", 0, 1)
    trial.report(0.5, step=0)
    trial.set_user_attr("owner", "me")
    storage.set_trial_system_attr(trial._trial_id, "fold", "{}")
    study.tell(trial, 0.25)
    (done,) = study.trials
    assert (done.state, done.values, done.params) == (TrialState.COMPLETE, [0.25], {"x": x})
    assert (done.user_attrs, done.intermediate_values) == ({"owner": "me"}, {0: 0.5})
    assert study.user_attrs == {"metric": "auc"}


@pytest.mark.parametrize(("state", "values"), [(TrialState.FAIL, None), (TrialState.COMPLETE, [0.75])])
def test_an_end_that_somebody_else_told_meanwhile_is_not_taken_for_ours(
    storage: PatientStorage, monkeypatch: pytest.MonkeyPatch, state: TrialState, values: list[float] | None
) -> None:
    study = optuna.create_study(storage=storage)
    trial, tell = study.ask(), storage._cached.set_trial_state_values
    calls = [0]

    def call(*args: Any) -> bool:
        calls[0] += 1
        if calls[0] == 1:
            tell(trial._trial_id, state, values)
            raise outage()
        return tell(*args)

    monkeypatch.setattr(storage._cached, "set_trial_state_values", call)
    with pytest.raises(UpdateFinishedTrialError):
        storage.set_trial_state_values(trial._trial_id, TrialState.COMPLETE, [0.25])


def set_back(url: str, trial_id: int, seconds: int) -> None:
    """Have the last sign of life of a trial lie so far back."""
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    back = "UPDATE trial_heartbeats SET heartbeat = heartbeat - make_interval(secs => :s)"
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text(f"{back} WHERE trial_id = :t"), {"s": seconds, "t": trial_id})


def test_trials_of_which_nothing_was_heard_for_longer_than_the_grace_are_stale(
    database: str, tmp_path: Path
) -> None:
    storage = open_storage(database, Home(tmp_path))
    assert isinstance(storage, PatientStorage)
    study = optuna.create_study(storage=storage)
    silent, heard, mute, ended = (study.ask() for _ in range(4))
    for trial in (silent, heard, ended):
        storage.record_heartbeat(trial._trial_id)
        set_back(database, trial._trial_id, 90)
    storage.record_heartbeat(heard._trial_id)
    study.tell(ended, 1.0)
    assert storage.silent_trials(study._study_id, 100.0) == set()
    assert storage.silent_trials(study._study_id, 80.0) == {silent._trial_id}
    assert mute._trial_id not in storage.silent_trials(study._study_id, 1.0)
    assert storage.stale_trials(study._study_id, 80.0) == set(), "it was seen to be silent for the first time"
    watched = {trial: since - 32 for trial, since in storage._suspects.items()}  # 0.4 of the grace
    storage._suspects = dict(watched)
    assert storage.stale_trials(study._study_id, 80.0) == {silent._trial_id}
    storage._suspects, storage._looked = dict(watched), time.monotonic() - 81
    assert storage.stale_trials(study._study_id, 80.0) == set(), "nobody looked for longer than the grace"


def test_calls_wait_for_a_server_that_was_killed(
    postgres: Cluster, database: str, tmp_path: Path, quick: None, told: list[str]
) -> None:
    storage = open_storage(database, Home(tmp_path))
    be_patient(storage, Patience(60.0, told.append))
    study = optuna.create_study(storage=storage)
    trial = study.ask()
    postgres.kill()
    try:
        with hastily(storage), pytest.raises(StorageAwayError) as caught:
            trial.set_user_attr("owner", "me")
        back = threading.Thread(target=postgres.start)
        back.start()
        trial.set_user_attr("owner", "me")
    finally:
        back.join()
    assert study.trials[0].user_attrs == {"owner": "me"}
    assert len(told) == 2
    assert PASSWORD not in "".join((*told, str(caught.value)))
