from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from data_prep.problems import Problems
from search.booking import place_in_line, requeue
from search.claims import Claims, trial_seed
from search.hindsight import SlotStudy
from search.sections import SearchSection
from search.space import read_space


@pytest.mark.parametrize("slots", [1, 4])
def test_never_more_trials_than_asked_for_are_handed_out(
    empty_study: optuna.Study, slots: int, tmp_path: Path
) -> None:
    claims = Claims(SearchSection(trials=7, sampler="random"), slots, tmp_path / "lock")
    with ThreadPoolExecutor(slots) as pool:
        handed = list(pool.map(lambda _: claims(empty_study), range(20)))
    assert sum(trial is not None for trial in handed) == 7


def test_waiting_trials_come_first(empty_study: optuna.Study, tmp_path: Path) -> None:
    empty_study.enqueue_trial({"x": 0.25})
    trial = Claims(SearchSection(trials=1), 1, tmp_path / "lock")(empty_study)
    assert trial is not None
    assert trial.suggest_float("x", 0.0, 1.0) == 0.25


def draws(study: optuna.Study, interrupted_at: int | None, lock: Path) -> list[float]:
    """The rates of four trials, one of which may be interrupted once."""
    claims = Claims(SearchSection(trials=4, sampler="tpe", seed=5), 1, lock)
    rates = {}
    while (trial := claims(study)) is not None:
        rate = trial.suggest_float("rate", 0.0, 1.0)
        place = place_in_line(study.get_trials(), trial.number)
        place = trial.user_attrs.get("place", place)
        trial.set_user_attr("place", place)
        if place == interrupted_at and "retry_of" not in trial.user_attrs:
            requeue(study, study.get_trials()[trial.number], "interrupted", lock)
            continue
        rates[place] = rate
        study.tell(trial, rate)
    return [rates[place] for place in sorted(rates)]


@pytest.mark.parametrize("interrupted_at", [0, 2, 3])
def test_an_interrupted_study_samples_what_it_would_have_sampled(interrupted_at: int, tmp_path: Path) -> None:
    undisturbed = draws(optuna.create_study(), None, tmp_path / "lock")
    assert len(set(undisturbed)) == 4
    assert draws(optuna.create_study(), interrupted_at, tmp_path / "lock") == undisturbed


def test_a_lost_trial_does_not_count_and_its_copy_does(empty_study: optuna.Study, tmp_path: Path) -> None:
    claims = Claims(SearchSection(trials=1), 1, tmp_path / "lock")
    first = claims(empty_study)
    assert first is not None
    requeue(empty_study, empty_study.get_trials()[0], "child lost", tmp_path / "lock")
    copy = claims(empty_study)
    assert copy is not None
    assert claims(empty_study) is None
    assert [trial.state for trial in empty_study.get_trials()] == [TrialState.FAIL, TrialState.RUNNING]


def test_seeds_differ_by_study_and_by_place() -> None:
    assert len({trial_seed(study, place) for study in range(5) for place in range(50)}) == 250


def test_a_trial_for_an_architecture_that_is_not_known_here_waits_for_who_knows_it(
    empty_study: optuna.Study, tmp_path: Path
) -> None:
    space = read_space({"architecture": ["constant"]}, "s", Problems())
    pruner = optuna.pruners.NopPruner()
    study = SlotStudy("s", empty_study._storage, space, pruner)
    study.enqueue_trial({"architecture#2": "mine"})
    claims = Claims(SearchSection(trials=3, sampler="random"), 1, tmp_path / "lock")
    assert claims(study) is None
    assert [trial.state for trial in study.get_trials()] == [TrialState.WAITING]
