from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.doctor.run_keys import Scope, parts_of, subject_of
from search.publishing import fold_key, trial_key

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
    live = Scope(known={0, 1}, splits=2, busy={1}, live=True)
    assert [live.leaves_alone(key) for key in ("study", "trial/0", "trial/1", "trial/1/fold/0")] == [
        True,
        False,
        True,
        True,
    ]
    assert live.leaves_alone("trial/2")  # it may be younger than what was read of Optuna


def test_a_study_has_its_own_run_and_those_of_its_trials_and_their_folds() -> None:
    scope = Scope(known={0, 1}, splits=2, busy=(), live=False)
    assert not scope.leaves_alone("study")
    keys = ("study", "trial/1", "trial/1/fold/1", "trial/2", "trial/1/fold/2", "other")
    assert [scope.has(key) for key in keys] == [True, True, True, False, False, False]
