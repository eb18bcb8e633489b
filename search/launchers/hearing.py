"""Signals that would end a launcher while it waits: it hears them, and passes them on."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def hearing() -> Iterator[list[int]]:
    """Within the block, SIGINT, SIGTERM and SIGHUP end nothing: yields the list that they go to, as heard.

    A SIGHUP that was to be ignored, as under nohup, still is.
    """
    heard: list[int] = []
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, lambda number, _: heard.append(number)) for number in numbers}
    try:
        yield heard
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
