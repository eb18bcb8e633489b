from __future__ import annotations

import inspect

import pytest

from search.live import LiveTable, PlainLines
from search.progress import Listener

METHODS = [name for name, _ in inspect.getmembers(Listener, inspect.isfunction) if not name.startswith("_")]


@pytest.mark.parametrize("kind", [PlainLines, LiveTable])
@pytest.mark.parametrize("name", METHODS)
def test_listeners_take_every_event_in_the_same_words(kind: type[Listener], name: str) -> None:
    wanted = inspect.signature(getattr(Listener, name))
    assert inspect.signature(getattr(kind, name)) == wanted


def test_the_live_table_answers_every_event() -> None:
    assert set(METHODS) <= set(vars(LiveTable))


def test_a_plain_listener_ignores_what_it_hears() -> None:
    listener = Listener()
    assert listener.fold_done(0, 0, None) is None
    assert vars(listener) == {}
