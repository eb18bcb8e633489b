from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState
from sqlalchemy.exc import OperationalError

from data_prep.problems import Problems
from search.booking import requeue
from search.claims import ASKED, Claims, trial_seed
from search.code_identity import CODE, code_identity
from search.errors import StudyStoppedError
from search.heartbeat import Pulse
from search.hindsight import SlotStudy
from search.home import Home
from search.patient import PatientStorage
from search.sections import SearchSection
from search.space import read_space
from search.storage import open_storage
from search.study_lock import lock_of


def seen_by_a_slot(study: optuna.Study) -> SlotStudy:
    space = read_space({"architecture": ["constant"]}, "s", Problems())
    return SlotStudy(study.study_name, study._storage, space, optuna.pruners.NopPruner())


@pytest.mark.parametrize("slots", [1, 4])
def test_never_more_trials_than_asked_for_are_handed_out(
    empty_study: optuna.Study, slots: int, tmp_path: Path
) -> None:
    claims = Claims(SearchSection(trials=7, sampler="random"), slots, tmp_path / "lock")
    with ThreadPoolExecutor(slots) as pool:
        handed = list(pool.map(lambda _: claims(seen_by_a_slot(empty_study)), range(20)))
    assert sum(trial is not None for trial in handed) == 7


def test_waiting_trials_come_first(empty_study: optuna.Study, tmp_path: Path) -> None:
    empty_study.enqueue_trial({"x": 0.25})
    trial = Claims(SearchSection(trials=1), 1, tmp_path / "lock")(seen_by_a_slot(empty_study))
    assert trial is not None
    assert trial.suggest_float("x", 0.0, 1.0) == 0.25


def draws(study: SlotStudy, interrupted_at: int | None, lock: Path) -> list[float]:
    """The rates of four trials, one of which may be interrupted once."""
    claims = Claims(SearchSection(trials=4, sampler="tpe", seed=5), 1, lock)
    rates = {}
    while (trial := claims(study)) is not None:
        rate = trial.suggest_float("rate", 0.0, 1.0)
        place = trial.user_attrs["place"]
        if place == interrupted_at and "retry_of" not in trial.user_attrs:
            requeue(study, study.get_trials()[trial.number], "interrupted", lock)
            continue
        rates[place] = rate
        study.tell(trial, rate)
    return [rates[place] for place in sorted(rates)]


@pytest.mark.parametrize("interrupted_at", [0, 2, 3])
def test_an_interrupted_study_samples_what_it_would_have_sampled(interrupted_at: int, tmp_path: Path) -> None:
    undisturbed = draws(seen_by_a_slot(optuna.create_study()), None, tmp_path / "lock")
    assert len(set(undisturbed)) == 4
    disturbed = draws(seen_by_a_slot(optuna.create_study()), interrupted_at, tmp_path / "lock")
    assert disturbed == undisturbed


def test_a_lost_trial_does_not_count_and_its_copy_does(empty_study: optuna.Study, tmp_path: Path) -> None:
    claims = Claims(SearchSection(trials=1), 1, tmp_path / "lock")
    first = claims(seen_by_a_slot(empty_study))
    assert first is not None
    requeue(empty_study, empty_study.get_trials()[0], "child lost", tmp_path / "lock")
    copy = claims(seen_by_a_slot(empty_study))
    assert copy is not None
    assert claims(seen_by_a_slot(empty_study)) is None
    assert [trial.state for trial in empty_study.get_trials()] == [TrialState.FAIL, TrialState.RUNNING]


class TakenForDead(Pulse):
    """Of a process that stands still where it has taken its first trial: somebody fails that meanwhile."""

    def __init__(self, study: optuna.Study) -> None:
        self.study, self.alive, self.lost = study, set[int](), list[int]()

    def add(self, trial_id: int) -> None:
        self.alive.add(trial_id)
        if not self.lost:
            self.lost.append(trial_id)
            self.study._storage.set_trial_state_values(trial_id, TrialState.FAIL)

    def remove(self, trial_id: int) -> None:
        self.alive.remove(trial_id)


def test_whoever_was_taken_for_dead_before_a_trial_was_signed_is_handed_another(
    empty_study: optuna.Study, tmp_path: Path
) -> None:
    pulse = TakenForDead(empty_study)
    claims = Claims(SearchSection(trials=2), 1, tmp_path / "lock", pulse=pulse)
    trial = claims(seen_by_a_slot(empty_study))
    assert trial is not None
    assert pulse.alive == {trial._trial_id}
    assert pulse.lost != [trial._trial_id]
    states = [t.state for t in empty_study.get_trials()]
    assert states == [TrialState.FAIL, TrialState.RUNNING]
    assert "owner" in empty_study.get_trials()[1].user_attrs


def test_seeds_differ_by_study_and_by_place() -> None:
    assert len({trial_seed(study, place) for study in range(5) for place in range(50)}) == 250


def test_a_trial_for_an_architecture_that_is_not_known_here_waits_for_who_knows_it(
    empty_study: optuna.Study, tmp_path: Path
) -> None:
    study = seen_by_a_slot(empty_study)
    study.enqueue_trial({"architecture#2": "mine"})
    claims = Claims(SearchSection(trials=3, sampler="random"), 1, tmp_path / "lock")
    assert claims(study) is None
    assert [trial.state for trial in study.get_trials()] == [TrialState.WAITING]


def test_a_later_start_may_ask_for_more_trials_or_for_less(empty_study: optuna.Study, tmp_path: Path) -> None:
    claims, slot = Claims(SearchSection(trials=1), 1, tmp_path / "lock"), seen_by_a_slot(empty_study)
    assert [claims(slot) is not None for _ in range(2)] == [True, False]
    empty_study.set_user_attr(ASKED, 3)
    assert [claims(slot) is not None for _ in range(3)] == [True, True, False]
    empty_study.set_user_attr(ASKED, 2)
    assert claims(slot) is None


def test_a_process_of_other_code_than_the_studys_is_handed_nothing(
    empty_study: optuna.Study, tmp_path: Path
) -> None:
    empty_study.set_user_attr(CODE, code_identity() | {"keras": "2.15.0"})
    with pytest.raises(StudyStoppedError, match=r"keras 2\.15\.0 there"):
        Claims(SearchSection(trials=1), 1, tmp_path / "lock")(seen_by_a_slot(empty_study))
    assert empty_study.get_trials() == []


@pytest.fixture
def remote(database: str, tmp_path: Path) -> PatientStorage:
    storage = open_storage(database, Home.at(tmp_path))
    assert isinstance(storage, PatientStorage)
    storage.patience.seconds = 60
    return storage


@pytest.mark.parametrize("carried_out", [False, True])
def test_a_trial_whose_signing_was_cut_off_is_the_one_that_is_handed_out(
    remote: PatientStorage, carried_out: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = optuna.create_study(study_name="s", storage=remote)
    space = read_space({"architecture": ["constant"]}, "s", Problems())
    slot = SlotStudy("s", remote, space, optuna.pruners.NopPruner())
    lock = lock_of(remote, Home.at(tmp_path).study("s"))
    signed = remote._cached.set_trial_user_attr
    lost: list[str] = []

    def sign(trial_id: int, key: str, value: object) -> None:
        if key == "owner" and not lost:
            lost.append(key)
            if carried_out:
                signed(trial_id, key, value)
            raise OperationalError("UPDATE", None, Exception("it left"))
        signed(trial_id, key, value)

    monkeypatch.setattr(remote._cached, "set_trial_user_attr", sign)
    claims = Claims(SearchSection(trials=1, sampler="random"), 1, lock)
    trial = claims(slot)
    assert trial is not None
    assert lost == ["owner"]
    assert [(t.number, t.state, "owner" in t.user_attrs) for t in study.get_trials()] == [
        (trial.number, TrialState.RUNNING, True)
    ]
    assert claims(slot) is None
    assert claims.all_handed_out
