"""Ending calls on a PostgreSQL server that is there and says nothing, where somebody has to go on.

A machine or a network that is gone, the operating system notices. A server that is merely stopped, or whose
disk hangs, would hold a call for as long as that lasts.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

import sqlalchemy
from sqlalchemy import event

if TYPE_CHECKING:
    from psycopg import Connection


def limit_silence(engine: sqlalchemy.Engine, seconds: float, is_hurried: Callable[[], bool]) -> None:
    """Have an engine's connections end calls during which the server is silent for too long.

    Such a call raises what one raises whose connection was lost, and the connection is given up: whether the
    call is carried out nobody knows. For as long again the thread, while in a hurry, is refused a new one, of
    which it would wait in vain for libpq's own limit.

    Args:
        engine: Of PostgreSQL; connections that it has open already are closed.
        seconds: How long is too long.
        is_hurried: Asked in the thread that waits, several times a second; while it says no, that thread
            waits on.
    """
    given_up = threading.local()
    connection_class = _connection_class(seconds, is_hurried, given_up)

    @event.listens_for(engine, "do_connect")
    def connect(dialect: object, record: object, arguments: Any, options: Any) -> Connection[Any]:
        if is_hurried() and time.monotonic() - getattr(given_up, "at", -math.inf) < seconds:
            raise _silent(seconds)
        return connection_class.connect(*arguments, **options)

    engine.dispose()


def _silent(seconds: float) -> Exception:
    """What a call raises whose server is silent."""
    import psycopg

    return psycopg.OperationalError(f"the server has said nothing for {seconds:g} s")


def _connection_class(
    seconds: float, is_hurried: Callable[[], bool], given_up: threading.local
) -> type[Connection[Any]]:
    import psycopg

    class ImpatientConnection(psycopg.Connection[Any]):
        """Its `wait` is where every call waits: it drives a generator, and tells it when data has come."""

        def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
            return super().wait(self._heard(gen), *args, **kwargs)

        def _heard(self, call: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
            heard, sent = time.monotonic(), None
            while True:
                try:
                    wanted = call.send(sent)
                except StopIteration as end:
                    return end.value
                sent = yield wanted
                if sent:
                    heard = time.monotonic()
                elif time.monotonic() - heard > seconds and is_hurried():
                    self.pgconn.finish()
                    given_up.at = time.monotonic()
                    raise _silent(seconds)

    return ImpatientConnection
