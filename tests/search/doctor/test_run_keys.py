from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.doctor.run_keys import Scope, parts_of, subject_of
from search.publishing import fold_key, trial_key
from tests.search.doctor.runs_by_hand import found

NUMBERS = st.integers(0, 99999)


@given(NUMBERS, NUMBERS)
def test_a_key_is_read_back(trial: int, split: int) -> None:
    assert parts_of(trial_key(trial)) == (trial, None)
    assert parts_of(fold_key(trial, split)) == (trial, split)


@pytest.mark.parametrize("key", ["study", "trial", "trial/x", "trial/1/fold", "trial/1/2/3", "trial/-1", ""])
def test_other_keys_name_no_trial(key: str) -> None:
    assert parts_of(key) == (None, None)
    assert subject_of(key) == ("the study" if key == "study" else repr(key))


def test_what_somebody_works_on_is_let_be() -> None:
    live = Scope(known={0, 1}, splits=2, busy={1}, live=True, began=0)
    assert [live.leaves_alone(key) for key in ("study", "trial/0", "trial/1", "trial/1/fold/0")] == [
        True,
        False,
        True,
        True,
    ]
    assert live.leaves_alone("trial/2")  # it may be younger than what was read of Optuna


def test_a_study_has_its_own_run_and_those_of_its_trials_and_their_folds() -> None:
    scope = Scope(known={0, 1}, splits=2, busy=(), live=False, began=0)
    assert not scope.leaves_alone("study")
    keys = ("study", "trial/1", "trial/1/fold/1", "trial/2", "trial/1/fold/2", "other")
    assert [scope.has(key) for key in keys] == [True, True, True, False, False, False]


@pytest.mark.parametrize(("opened", "may"), [("9", True), ("10", True), ("11", False), ("", True)])
def test_a_run_may_be_ended_unless_it_was_opened_since(opened: str, may: bool) -> None:
    scope = Scope(known=(), splits=2, busy=(), live=False, began=10)
    assert scope.may_end(found(tags={"radsearch.opened": opened})) is may
    assert scope.may_end(found(tags={}))
