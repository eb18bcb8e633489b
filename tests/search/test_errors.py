from __future__ import annotations

from search.endings import ENDINGS
from search.errors import SearchError, StudyStoppedError, TrialFailedError


def test_a_trials_failure_and_the_studys_end_are_two_families() -> None:
    assert issubclass(TrialFailedError, SearchError)
    assert issubclass(StudyStoppedError, SearchError)
    assert not issubclass(TrialFailedError, StudyStoppedError)


def test_a_failure_carries_a_cause_that_the_endings_know() -> None:
    failure = TrialFailedError("failed", "the loss is not finite")
    assert failure.cause in ENDINGS
    assert str(failure) == "the loss is not finite"
