from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from data_prep.problems import InputError
from search import waiting
from search.errors import BeyondWaitingError, StudyStoppedError
from search.waiting import PAUSE_SECONDS, tried_again


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that only sleeping moves; how long was slept."""
    slept: list[float] = []
    monkeypatch.setattr(waiting.time, "sleep", slept.append)
    monkeypatch.setattr(waiting.time, "monotonic", lambda: sum(slept))
    return slept


def failing(times: int, error: Exception) -> Callable[[], str]:
    """A call that fails so often before it succeeds."""
    errors: Iterator[Exception] = iter([error] * times)

    def call() -> str:
        failure = next(errors, None)
        if failure is not None:
            raise failure
        return "there"

    return call


def test_what_is_away_for_a_while_is_waited_for_and_told_of_once(slept: list[float]) -> None:
    told: list[str] = []
    assert tried_again(failing(3, StudyStoppedError("--storage: away")), 60, told.append) == "there"
    assert told == ["--storage: away; it is tried again for 60 s"]
    assert slept == [PAUSE_SECONDS] * 3


@pytest.mark.parametrize("seconds", [0, 60])
def test_what_stays_away_is_given_up_in_time(slept: list[float], seconds: float) -> None:
    with pytest.raises(StudyStoppedError, match="away"):
        tried_again(failing(1000, StudyStoppedError("away")), seconds, lambda _: None)
    assert seconds - PAUSE_SECONDS <= sum(slept) <= seconds


@pytest.mark.parametrize("error", [InputError("no study"), BeyondWaitingError("wrong password")])
def test_what_waiting_does_not_mend_is_told_at_once(slept: list[float], error: Exception) -> None:
    with pytest.raises(type(error), match=str(error)):
        tried_again(failing(1, error), 60, lambda _: None)
    assert slept == []
