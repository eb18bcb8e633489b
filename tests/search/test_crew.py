from __future__ import annotations

import errno
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import OperationalError

from data_prep.problems import InputError
from search.crew import Crew, Stop
from search.errors import StudyStoppedError
from search.progress import Listener


class PlayedSlot:
    """A slot that works until it is stopped, or raises."""

    def __init__(self, stop: Stop, error: Exception | None = None, failure: str | None = None) -> None:
        self.stop, self.error, self.failure, self.ended = stop, error, failure, False

    def run(self) -> None:
        if self.error is not None:
            raise self.error
        if self.failure is None:
            self.stop.event.wait(30)
        self.ended = True


def crew(stop: Stop, tmp_path: Path, *slots: PlayedSlot) -> Crew:
    return Crew(slots, stop, Listener(), tmp_path / "errors.log")  # type: ignore[arg-type]


def nothing() -> None:
    """Nothing to tidy."""


def test_an_error_that_a_slot_cannot_handle_ends_all_and_is_kept_with_its_traceback(tmp_path: Path) -> None:
    stop = Stop()
    other = PlayedSlot(stop)
    with pytest.raises(StudyStoppedError, match="a slot could not go on: No space left on device"):
        crew(stop, tmp_path, other, PlayedSlot(stop, OSError("No space left on device"))).run(nothing, None)
    assert other.ended
    assert "Traceback" in (tmp_path / "errors.log").read_text()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_told_with_the_file_and_what_to_do(tmp_path: Path, number: int) -> None:
    stop = Stop()
    full = OSError(number, os.strerror(number), "/home/optuna.journal")
    with pytest.raises(StudyStoppedError) as caught:
        crew(stop, tmp_path, PlayedSlot(stop, full)).run(nothing, None)
    assert str(caught.value).startswith(
        f"/home/optuna.journal: {os.strerror(number)}. What is finished is kept"
    )
    assert not (tmp_path / "errors.log").exists()


def test_a_log_that_cannot_be_written_does_not_hide_the_cause(tmp_path: Path) -> None:
    stop = Stop()
    (tmp_path / "errors.log").mkdir()
    with pytest.raises(StudyStoppedError, match=r"^a slot could not go on: the storage is gone$"):
        crew(stop, tmp_path, PlayedSlot(stop, RuntimeError("the storage is gone"))).run(nothing, None)


def test_a_database_that_fails_is_told_in_its_own_words(tmp_path: Path) -> None:
    stop = Stop()
    error = StorageInternalError("An exception is raised during the commit.")
    error.__cause__ = OperationalError("UPDATE trials", {}, Exception("database or disk is full"))
    with pytest.raises(
        StudyStoppedError, match=r"^--storage: .*database or disk is full\. What is finished is kept$"
    ):
        crew(stop, tmp_path, PlayedSlot(stop, error)).run(nothing, None)


def test_a_reason_to_stop_is_passed_on_as_it_is(tmp_path: Path) -> None:
    stop = Stop()
    slot = PlayedSlot(stop, StudyStoppedError("line 4 must be a record"))
    with pytest.raises(StudyStoppedError, match=r"^line 4 must be a record$"):
        crew(stop, tmp_path, slot).run(nothing, None)


def test_input_that_turned_wrong_stays_an_input_error(tmp_path: Path) -> None:
    stop = Stop()
    slot = PlayedSlot(stop, InputError("cohort: it changed"))
    with pytest.raises(InputError, match="it changed"):
        crew(stop, tmp_path, slot).run(nothing, None)


def test_an_error_in_tidying_ends_the_slots_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.crew.TIDY_SECONDS", 0.0)
    stop = Stop()
    slot = PlayedSlot(stop)

    def fail() -> Any:
        raise OSError("the journal is gone")

    with pytest.raises(OSError, match="the journal is gone"):
        crew(stop, tmp_path, slot).run(fail, None)
    assert slot.ended


def test_the_time_limit_stops_the_slots(tmp_path: Path) -> None:
    stop = Stop()
    slot = PlayedSlot(stop)
    assert crew(stop, tmp_path, slot).run(nothing, timeout=0.01) == []
    assert slot.ended
    assert stop.signalled is None


def test_slots_that_gave_up_are_reported(tmp_path: Path) -> None:
    stop = Stop()
    slots = (PlayedSlot(stop, failure="its child died"), PlayedSlot(stop, failure="its child died"))
    assert crew(stop, tmp_path, *slots).run(nothing, None) == ["its child died"] * 2


def test_no_thread_outlives_the_crew(tmp_path: Path) -> None:
    stop, before = Stop(), threading.active_count()
    threading.Timer(0.2, stop.set, args=(2,)).start()
    crew(stop, tmp_path, PlayedSlot(stop), PlayedSlot(stop)).run(nothing, None)
    time.sleep(0.05)
    assert threading.active_count() <= before
    assert stop.signalled == 2
