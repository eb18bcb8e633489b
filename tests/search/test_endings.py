from __future__ import annotations

import pytest

from search.endings import ENDINGS, MOST_RETRIES, decide


def test_a_lost_trial_is_retried_twice_and_then_failed() -> None:
    assert [decide("child lost", retries).retry for retries in range(4)] == [True, True, False, False]
    assert decide("child lost", MOST_RETRIES).state == "FAIL"


def test_an_interrupted_trial_is_always_taken_up_again() -> None:
    assert decide("interrupted", 100).retry


def test_a_trials_own_fault_is_not_retried() -> None:
    assert not decide("failed", 0).retry


def test_out_of_memory_is_told_as_pruned_with_a_constraint() -> None:
    ending = decide("out of memory", 0)
    assert (ending.state, ending.constraint, ending.retry) == ("PRUNED", "oom", False)


def test_over_time_is_told_as_pruned_with_a_constraint_and_never_retried() -> None:
    ending = decide("over time", 0)
    assert (ending.state, ending.constraint, ending.retry) == ("PRUNED", "over_time", False)


@pytest.mark.parametrize("cause", sorted(ENDINGS))
def test_states_and_runs_agree(cause: str) -> None:
    ending = decide(cause, 0)
    allowed = {"COMPLETE": {"FINISHED"}, "PRUNED": {"KILLED"}, "FAIL": {"FAILED", "KILLED"}}
    assert ending.run_status in allowed[ending.state]
