"""Trials that are read as rows are those that Optuna reads, with less asked of the database."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
import pytest
import sqlalchemy
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, RDBStorage
from optuna.testing.pytest_storages import StorageTestCase
from optuna.trial import FrozenTrial, TrialState

from search.patient import Patience, PatientStorage, glance
from search.row_storage import RowStorage


class TestOptunasOwnContract(StorageTestCase):
    @pytest.fixture
    def storage(self) -> BaseStorage:
        return RowStorage("sqlite://", engine_kwargs={"poolclass": sqlalchemy.StaticPool})

    def test_pickle_storage(self, storage: BaseStorage) -> None:
        """Nothing of ours is pickled."""


def study_of(storage: BaseStorage) -> optuna.Study:
    return optuna.create_study(study_name="s", storage=storage, load_if_exists=True)


def fill(study: optuna.Study) -> None:
    """Trials in every state, with values that a database has no number for."""
    distributions = {
        "batch": CategoricalDistribution([3, 9, "all", None]),
        "rate": FloatDistribution(1e-5, 1e-1, log=True),
        "depth": IntDistribution(1, 9, step=2),
    }
    for number, value in enumerate((0.5, math.inf, -math.inf)):
        study.add_trial(
            optuna.create_trial(
                value=value,
                params={"rate": 1e-3, "depth": 3, "batch": ["all", None, 9][number]},
                distributions=distributions,
                user_attrs={"owner": {"pid": 3}, "nothing": None},
                system_attrs={"fold:0": '{"split": 0}'},
                intermediate_values={4: 0.5, 0: math.nan, 2: math.inf, 3: -math.inf},
            )
        )
    study.tell(study.ask(), state=TrialState.PRUNED)
    study.tell(study.ask(), state=TrialState.FAIL)
    study.enqueue_trial({"depth": 3})
    running = study.ask()
    running.suggest_int("depth", 1, 9, step=2)
    study.enqueue_trial({"depth": 5})


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/optuna.db"
    return str(request.getfixturevalue("database"))


def as_text(trials: list[FrozenTrial]) -> list[str]:
    """NaN equals nothing, and the order of attributes and steps means nothing."""
    for trial in trials:
        trial.user_attrs = dict(sorted(trial.user_attrs.items()))
        trial.system_attrs = dict(sorted(trial.system_attrs.items()))
        trial.intermediate_values = dict(sorted(trial.intermediate_values.items()))
    return [repr(trial) for trial in trials]


def test_trials_are_those_that_optuna_reads(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.row_storage.AT_ONCE", 3)
    theirs = RDBStorage(url)
    study = study_of(theirs)
    fill(study)
    ours = RowStorage(url)
    expected = theirs.get_all_trials(study._study_id)
    assert {trial.state for trial in expected} == set(TrialState)
    assert as_text(ours.get_all_trials(study._study_id)) == as_text(expected)
    assert as_text([ours.get_trial(t._trial_id) for t in expected]) == as_text(expected)
    waiting = (TrialState.WAITING, TrialState.RUNNING)
    assert as_text(ours.get_all_trials(study._study_id, states=waiting)) == as_text(expected[5:])


@contextmanager
def statements(storage: RowStorage) -> Iterator[list[str]]:
    asked: list[str] = []

    def note(connection: object, cursor: object, statement: str, *rest: object) -> None:
        asked.append(statement)

    sqlalchemy.event.listen(storage.engine, "before_cursor_execute", note)
    yield asked
    sqlalchemy.event.remove(storage.engine, "before_cursor_execute", note)


def looked_at(url: str) -> tuple[optuna.Study, optuna.Study, RowStorage]:
    """A study, as another process works on it and as this one looks at it."""
    rows = RowStorage(url)
    return study_of(RDBStorage(url)), study_of(PatientStorage(rows, Patience())), rows


def test_a_glance_asks_for_states_alone_however_much_runs(database: str) -> None:
    theirs, ours, rows = looked_at(database)
    running = [theirs.ask() for _ in range(20)]
    glance(ours)
    for trial in running:
        theirs._storage.set_trial_system_attr(trial._trial_id, "fold", "x" * 1000)
    with statements(rows) as asked:
        glance(ours)
    assert len(asked) == 1


def test_a_glance_sees_every_change_of_state_and_all_of_what_ended(database: str) -> None:
    theirs, ours, _ = looked_at(database)
    theirs.enqueue_trial({"x": 1})
    assert [trial.state for trial in glance(ours)] == [TrialState.WAITING]
    first = theirs.ask()
    (seen,) = glance(ours)
    assert seen.state == TrialState.RUNNING
    first.set_user_attr("owner", "me")
    (seen,) = glance(ours)
    assert seen.user_attrs == {}
    theirs.ask()
    (*_, second) = glance(ours, TrialState.RUNNING)
    assert second.state == TrialState.RUNNING
    assert glance(ours)[0].user_attrs == {"owner": "me"}
    theirs.tell(first, 0.5)
    assert [trial.state for trial in glance(ours)] == [TrialState.COMPLETE, TrialState.RUNNING]
    assert (glance(ours)[0].value, glance(ours)[0].user_attrs) == (0.5, {"owner": "me"})


def test_who_lists_trials_gets_all_of_those_it_lists(database: str) -> None:
    theirs, ours, _ = looked_at(database)
    trial = theirs.ask()
    glance(ours)
    trial.set_user_attr("owner", "me")
    assert ours.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)) == []
    (running,) = ours.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    assert running.user_attrs == {"owner": "me"}
    trial.set_user_attr("place", 0)
    assert ours.get_trials(deepcopy=False)[0].user_attrs == {"owner": "me", "place": 0}


def test_silence_is_that_which_optuna_finds(database: str) -> None:
    theirs, ours = RDBStorage(database), RowStorage(database)
    study = study_of(theirs)
    silent, beating, _, told = [study.ask() for _ in range(4)]
    theirs.heartbeat_interval, theirs.grace_period, ours.grace_period = 60, 120, 120
    for trial in (silent, beating, told):
        theirs.record_heartbeat(trial._trial_id)
    study.tell(told, 0.5)
    with theirs.engine.begin() as connection:
        long_ago = (
            "UPDATE trial_heartbeats SET heartbeat = heartbeat - interval '3 minutes' WHERE trial_id != "
        )
        connection.execute(sqlalchemy.text(f"{long_ago}{beating._trial_id}"))
    assert ours._get_stale_trial_ids(study._study_id) == [silent._trial_id]
    assert theirs._get_stale_trial_ids(study._study_id) == [silent._trial_id]


def test_a_database_that_is_away_is_told_as_optuna_tells_it(tmp_path: Path) -> None:
    storage = RowStorage(f"sqlite:///{tmp_path}/optuna.db")
    storage.engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path}/none/optuna.db")
    with pytest.raises(StorageInternalError, match="cannot be read"):
        storage.get_trial(1)
