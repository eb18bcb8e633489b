"""The signals that end a run: what was under way is booked and put back."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from search.crew import Stop

SHOW_CURSOR = "\x1b[?25h"  # the live table hides it


@contextmanager
def ended_by_signals(stop: Stop, leave_within: float | None) -> Iterator[None]:
    """SIGINT, SIGTERM and SIGHUP stop the run and book it; a second one leaves at once, as safe as a kill.

    With `leave_within`, SIGTERM lets folds end that take no longer than so many seconds, however often it
    comes: clusters repeat it. A SIGHUP (the terminal is gone) that was to be ignored, as under nohup, still
    is.

    Args:
        stop: What they set.
        leave_within: Seconds; None to abandon folds at SIGTERM as well.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGTERM and leave_within is not None:
            if not stop.signalled:
                act(stop.leave, number, leave_within)
            return
        if stopped:
            if sys.stderr.isatty():
                sys.stderr.write(SHOW_CURSOR)
                sys.stderr.flush()
            os._exit(128 + number)
        stopped.append(number)
        act(stop.set, number)

    def act(method: Callable[..., None], *arguments: float) -> None:
        """In another thread: this one may be waiting for the very event that is to be set."""
        stop.signalled = stop.signalled or int(arguments[0])
        threading.Thread(target=method, args=arguments).start()

    stopped: list[int] = []
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
