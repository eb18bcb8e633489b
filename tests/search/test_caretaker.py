from __future__ import annotations

from pathlib import Path

import optuna
import pytest

from search import caretaker as module
from search.caretaker import Caretaker
from search.home import Home
from search.owner import Owner
from search.storage import open_storage
from search.study_lock import database_lock


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.2)


@pytest.fixture
def study(database: str, tmp_path: Path) -> optuna.Study:
    return optuna.create_study(study_name="s", storage=open_storage(database, Home.at(tmp_path)))


def caretaker(study: optuna.Study, ending: bool = False) -> Caretaker:
    return Caretaker(study, database_lock(study._storage, "caretaker:s"), lambda: ending)


def elsewhere(study: optuna.Study) -> optuna.Trial:
    """A trial that another process runs."""
    trial = study.ask()
    trial.set_user_attr("owner", "node7:boot:1:1")
    return trial


def test_one_process_stays_while_others_have_trials_to_end(study: optuna.Study) -> None:
    trial = elsewhere(study)
    first, second = caretaker(study), caretaker(study)
    assert first.stay()
    assert not second.stay()
    assert first.stay()
    study.tell(trial, 0.5)
    assert not first.stay()


def test_another_is_appointed_when_the_first_has_gone(study: optuna.Study) -> None:
    elsewhere(study)
    first, second = caretaker(study), caretaker(study)
    assert first.stay()
    first.close()
    assert second.stay()
    second.close()


def test_nobody_waits_for_trials_of_their_own_process_or_when_told_to_leave(study: optuna.Study) -> None:
    study.ask().set_user_attr("owner", str(Owner.of()))
    assert not caretaker(study).stay()
    elsewhere(study)
    assert not caretaker(study, ending=True).stay()


def test_nobody_stays_on_one_machine(tmp_path: Path) -> None:
    study = optuna.create_study(study_name="s", storage=open_storage(None, Home.at(tmp_path)))
    elsewhere(study)
    assert not Caretaker(study, database_lock(study._storage, "x"), lambda: False).stay()
