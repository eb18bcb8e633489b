from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from search.launchers.hearing import hearing


@pytest.fixture
def hangup() -> Iterator[None]:
    """SIGHUP as a terminal has it; tests may be run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("hangup")
def test_signals_are_heard_and_end_nothing() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with hearing() as heard:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.kill(os.getpid(), number)
    assert heard == [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.usefixtures("hangup")
def test_a_hangup_that_was_to_be_ignored_still_is() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with hearing() as heard:
        os.kill(os.getpid(), signal.SIGHUP)
    assert not heard


def test_handlers_return_also_where_the_block_raises() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyError), hearing():
        raise KeyError
    assert signal.getsignal(signal.SIGINT) == before
