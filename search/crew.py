"""The slots of one process, each in a thread: started, watched, and ended before anything is closed."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from data_prep.files import FULL
from data_prep.problems import InputError
from search.errors import StudyStoppedError
from search.progress import Listener
from search.slot import Slot
from search.storage import storage_told

TIDY_SECONDS = 30.0


@dataclass
class Stop:
    """Whether the run ends early, and why.

    Attributes:
        event: Set when no further fold shall be finished.
        leaving: Set when no further fold shall begin; trials are then put back.
        signalled: The signal that asked for it, if one did.
        short_of_time: Whether a trial was not started because the time left is too short for it.
    """

    event: threading.Event = field(default_factory=threading.Event)
    leaving: threading.Event = field(default_factory=threading.Event)
    signalled: int | None = None
    short_of_time: bool = False

    def set(self, number: int | None = None) -> None:
        """Ask for the end."""
        self.signalled = self.signalled or number
        self.leaving.set()
        self.event.set()

    def leave(self, number: int, within: float) -> None:
        """Ask for the end of all folds that run; those that take more seconds than that are abandoned."""
        self.signalled = self.signalled or number
        self.leaving.set()
        last = threading.Timer(within, self.event.set)
        last.daemon = True
        last.start()


class Crew:
    """Runs slots side by side.

    Args:
        slots: One a thread.
        stop: Ends them all.
        listener: Hears of the time limit.
        log: Gets the traceback of an error that a slot cannot handle.
    """

    def __init__(self, slots: Sequence[Slot], stop: Stop, listener: Listener, log: Path) -> None:
        self._slots, self._stop, self._listener, self._log = slots, stop, listener, log
        self._errors: list[Exception] = []

    def run(self, tidy: Callable[[], None], timeout: float | None, every: float = TIDY_SECONDS) -> list[str]:
        """Run the slots to their end.

        Args:
            tidy: Called now and then meanwhile.
            timeout: Seconds after which to stop; None for no limit.
            every: Seconds between two calls of `tidy`.

        Returns:
            Why those slots stopped that could not go on.

        Raises:
            InputError: The cohort changed under the study.
            StudyStoppedError: The storage or the home is gone, or a slot met an error of ours.
        """
        threads = [threading.Thread(target=self._guarded, args=(slot,)) for slot in self._slots]
        for thread in threads:
            thread.start()
        try:
            self._watch(threads, tidy, timeout, every)
        finally:
            if any(thread.is_alive() for thread in threads):
                self._stop.set()
            for thread in threads:
                thread.join()
        if self._errors:
            self._raise(self._errors[0])
        return [slot.failure for slot in self._slots if slot.failure is not None]

    def _guarded(self, slot: Slot) -> None:
        """The slot's loop; an error that it cannot handle ends all slots, as none could handle it."""
        try:
            with storage_told():
                slot.run()
        except Exception as error:
            self._errors.append(error)
            self._stop.set()

    def _watch(
        self, threads: list[threading.Thread], tidy: Callable[[], None], timeout: float | None, every: float
    ) -> None:
        started = tidied = time.monotonic()
        while any(thread.is_alive() for thread in threads):
            for thread in threads:
                thread.join(timeout=0.1)
            now = time.monotonic()
            if timeout is not None and now - started > timeout and not self._stop.event.is_set():
                self._listener.note(f"the time limit of {timeout:g} s is reached: stopping")
                self._stop.set()
            if now - tidied > every:
                tidy()
                tidied = now

    def _raise(self, error: Exception) -> None:
        if isinstance(error, InputError | StudyStoppedError):
            raise error
        if isinstance(error, OSError) and error.errno in FULL:
            raise StudyStoppedError(
                f"{error.filename or self._log.parent}: {error.strerror}. What is finished is kept: make "
                "room, and the same command continues"
            ) from error
        what = " ".join(str(error).split()) or type(error).__name__
        raise StudyStoppedError(f"a slot could not go on: {what}{self._logged(error)}") from error

    def _logged(self, error: Exception) -> str:
        """Write the traceback to the log; where to find it, or nothing where it cannot be written."""
        try:
            with self._log.open("a", encoding="utf-8") as log:
                log.writelines(traceback.format_exception(error))
        except OSError:
            return ""
        return f"; see {self._log}"
