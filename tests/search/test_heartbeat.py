from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pytest
import sqlalchemy
from sqlalchemy.exc import OperationalError

from search.heartbeat import GRACE, GRACE_SECONDS, Pulse, grace_of, silent_trials, stale_trials
from search.home import Home
from search.patient import Patience, PatientStorage
from search.storage import open_storage


def until(condition: Callable[[], bool], timeout: float = 20.0) -> bool:
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@pytest.fixture
def study(database: str, tmp_path: Path) -> optuna.Study:
    study = optuna.create_study(study_name="s", storage=open_storage(database, Home.at(tmp_path)))
    study.set_user_attr(GRACE, 2.0)
    return study


def storage_of(study: optuna.Study) -> PatientStorage:
    assert isinstance(study._storage, PatientStorage)
    return study._storage


def beat_of(study: optuna.Study, trial_id: int) -> object:
    with storage_of(study)._backend.engine.connect() as connection:
        text = sqlalchemy.text("SELECT heartbeat FROM trial_heartbeats WHERE trial_id = :trial")
        return connection.execute(text, {"trial": trial_id}).scalar_one_or_none()


def test_a_trial_is_stale_when_its_signs_of_life_have_ended(study: optuna.Study) -> None:
    silent, lively = study.ask(), study.ask()
    with Pulse(study._storage, grace_of(study)) as pulse:
        for trial in (silent, lively):
            pulse.add(trial._trial_id)
        pulse.remove(silent._trial_id)
        assert until(lambda: stale_trials(study) == {silent._trial_id})
        time.sleep(1.0)
        assert stale_trials(study) == {silent._trial_id}
    assert until(lambda: stale_trials(study) == {silent._trial_id, lively._trial_id})


def test_the_first_sign_is_given_before_the_trial_is_handed_out(study: optuna.Study) -> None:
    trial = study.ask()
    with Pulse(study._storage) as pulse:
        pulse.add(trial._trial_id)
        assert beat_of(study, trial._trial_id) is not None


def test_nobody_is_stale_who_was_not_seen_silent_for_two_beats(
    study: optuna.Study, database: str, tmp_path: Path
) -> None:
    """Else whoever is first after an outage, or a suspended machine, would take all trials for lost."""
    trial = study.ask()
    storage_of(study).record_heartbeat(trial._trial_id)
    time.sleep(3.0)
    fresh = optuna.load_study(study_name="s", storage=open_storage(database, Home.at(tmp_path)))
    assert stale_trials(fresh) == set()
    assert silent_trials(fresh) == {trial._trial_id}
    assert until(lambda: stale_trials(fresh) == {trial._trial_id})


def test_the_pulse_outlives_whatever_goes_wrong_with_one_beat(
    study: optuna.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also a terminal that is gone, to which the outage is told."""
    trial, storage = study.ask(), storage_of(study)

    def told(line: str) -> None:
        raise OSError("the terminal is gone")

    storage.patience = Patience(60.0, tell=told)
    with Pulse(storage, 0.5) as pulse:
        pulse.add(trial._trial_id)
        with monkeypatch.context() as broken:
            errors = iter([OperationalError("SELECT", None, Exception("it left")), AssertionError()])
            broken.setattr(storage._backend, "record_heartbeat", lambda trial_id: raise_next(errors))
            assert until(lambda: next(errors, None) is None)
        first = beat_of(study, trial._trial_id)
        assert until(lambda: beat_of(study, trial._trial_id) != first)


def raise_next(errors: Iterator[Exception]) -> None:
    for error in errors:
        raise error


def test_the_pulse_outlives_a_table_that_is_gone_for_a_while(study: optuna.Study) -> None:
    trial = study.ask()
    storage_of(study).patience = Patience(60.0)
    with Pulse(study._storage, 0.5) as pulse:
        pulse.add(trial._trial_id)
        first = beat_of(study, trial._trial_id)
        with storage_of(study)._backend.engine.connect() as connection:
            connection.execute(sqlalchemy.text("ALTER TABLE trial_heartbeats RENAME TO hidden"))
            connection.commit()
            time.sleep(0.5)
            connection.execute(sqlalchemy.text("ALTER TABLE hidden RENAME TO trial_heartbeats"))
            connection.commit()
        assert until(lambda: beat_of(study, trial._trial_id) != first)


def test_a_storage_of_one_machine_needs_no_pulse(tmp_path: Path) -> None:
    study = optuna.create_study(study_name="s", storage=open_storage(None, Home.at(tmp_path)))
    with Pulse(study._storage, 0.1) as pulse:
        pulse.add(study.ask()._trial_id)
        assert not pulse.is_alive()
    assert stale_trials(study) == set()
    assert grace_of(study) == GRACE_SECONDS
