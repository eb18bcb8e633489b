"""Which trials are scored again: the best, equal settings once, and the default always."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from data_prep.problems import InputError
from search.booking import FOLD, SETTINGS, VERSIONS
from search.claims import trial_seed
from search.records import FoldResult
from search.refits.finalists import finalists_of
from search.study_file import Study

Add = Callable[..., None]


@pytest.fixture
def recorded() -> optuna.Study:
    return optuna.create_study(study_name="toy", direction="maximize")


@pytest.fixture
def add(recorded: optuna.Study, make_fold: Callable[..., FoldResult]) -> Add:
    """Adds a trial of that width and value."""

    def add_trial(
        width: int, value: float | None, folds: int = 2, booked: bool = True, **changes: Any
    ) -> None:
        number = len(recorded.trials)
        system: dict[str, Any] = {
            f"{FOLD}{index}": make_fold(index, seconds=1.0 + number).to_json() for index in range(folds)
        }
        if booked:
            system |= {SETTINGS: json.dumps({"width": width}), VERSIONS: json.dumps({"numpy": "2.0"})}
        if changes.pop("enqueued", False):
            system["fixed_params"] = {"width": width}
        state = changes.pop("state", TrialState.COMPLETE)
        recorded.add_trial(
            optuna.create_trial(
                state=state, value=value, user_attrs={"place": number, **changes}, system_attrs=system
            )
        )

    return add_trial


@pytest.fixture
def study(make_study: Callable[..., Study], tmp_path: Path) -> Study:
    return make_study(tmp_path, "search.seed=3")


def numbers(recorded: optuna.Study, study: Study, top: int) -> list[tuple[int, bool]]:
    return [(one.trial, one.is_default) for one in finalists_of(recorded, study, top)]


def test_the_best_come_first_and_the_first_drawn_stands_for_no_tuning(
    recorded: optuna.Study, study: Study, add: Add
) -> None:
    for width, value in enumerate([0.5, 0.8, 0.6, 0.7]):
        add(width, value)
    assert numbers(recorded, study, 2) == [(1, False), (3, False), (0, True)]
    assert numbers(recorded, study, 9) == [(1, False), (3, False), (2, False), (0, True)]


def test_a_metric_that_is_to_be_small_ranks_the_other_way(
    recorded: optuna.Study, make_study: Callable[..., Study], tmp_path: Path, add: Add
) -> None:
    for width, value in enumerate([0.2, 0.3, 0.1]):
        add(width, value)
    assert numbers(recorded, make_study(tmp_path, "search.metric=brier"), 1) == [(2, False), (0, True)]


def test_equal_settings_are_scored_once_and_the_best_of_them_stands_for_all(
    recorded: optuna.Study, study: Study, add: Add
) -> None:
    for width, value in [(4, 0.5), (5, 0.7), (5, 0.8), (4, 0.6), (6, 0.65)]:
        add(width, value)
    assert numbers(recorded, study, 2) == [(2, False), (4, False), (3, True)]
    assert numbers(recorded, study, 3) == [(2, False), (4, False), (3, True)]


def test_a_trial_that_was_enqueued_later_is_not_the_default(
    recorded: optuna.Study, study: Study, add: Add
) -> None:
    add(4, 0.8)
    add(5, 0.5, enqueued=True)
    assert numbers(recorded, study, 1) == [(0, True)]


def test_a_default_that_was_pruned_is_scored_all_the_same(
    recorded: optuna.Study, study: Study, add: Add
) -> None:
    add(4, None, folds=1, state=TrialState.PRUNED)
    add(5, 0.5)
    add(6, None, folds=0, state=TrialState.FAIL)
    found = finalists_of(recorded, study, 5)
    assert [(one.trial, one.is_default, one.own) for one in found] == [(1, False, 0.5), (0, True, None)]
    assert [len(one.folds) for one in found] == [2, 1]


def test_a_default_that_never_began_is_left_out(recorded: optuna.Study, study: Study, add: Add) -> None:
    add(4, None, folds=0, booked=False, state=TrialState.FAIL)
    add(5, 0.5)
    assert numbers(recorded, study, 5) == [(1, False)]


def test_a_finalist_has_what_it_takes_to_fit_it_again(recorded: optuna.Study, study: Study, add: Add) -> None:
    add(4, 0.5)
    add(5, 0.7)
    (best, _) = finalists_of(recorded, study, 1)
    assert (best.config.settings, best.config.seed) == ({"width": 5}, trial_seed(3, 1))
    assert (best.own, best.pace, best.versions) == (0.7, 2.0, {"numpy": "2.0"})


def test_further_seeds_differ_follow_from_the_first_and_do_not_depend_on_their_number(
    recorded: optuna.Study, study: Study, add: Add
) -> None:
    add(4, 0.5)
    add(5, 0.7)
    one, other = finalists_of(recorded, study, 2)
    configs = one.configs(4)
    assert configs[0] == one.config
    assert configs[:2] == one.configs(2)
    seeds = [config.seed for config in (*configs, *other.configs(4))]
    assert len(set(seeds)) == 8
    assert all(config.settings == one.config.settings for config in configs)


def test_a_study_without_a_complete_trial_has_no_finalists(
    recorded: optuna.Study, study: Study, add: Add
) -> None:
    add(4, None, state=TrialState.PRUNED)
    with pytest.raises(InputError, match="a complete trial is needed, but study 'toy' has none yet"):
        finalists_of(recorded, study, 1)
