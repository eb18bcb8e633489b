"""A server that stands still, seen from a thread that can wait and from one that cannot."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import sqlalchemy
from sqlalchemy.exc import OperationalError

from search.database import engine_options, is_outage
from search.silence import limit_silence
from tests.postgresql import Cluster
from tests.proxy import Proxy

CONNECTIONS = 2  # of a line, from its beginning to its first question


class Line:
    """An engine behind a network that can be held up, with calls from threads that may be in a hurry."""

    def __init__(self, network: Proxy, url: str) -> None:
        self.network, self.hurried = network, threading.Event()
        there = sqlalchemy.make_url(url).set(port=network.port)
        self.engine = sqlalchemy.create_engine(there, **engine_options(url))
        with self.engine.connect():  # as Optuna's storage has connected when it is handed on
            pass
        limit_silence(self.engine, 1.0, self.hurried.is_set)

    def ask(self, text: str = "SELECT 1") -> object:
        with self.engine.connect() as connection:
            return connection.execute(sqlalchemy.text(text)).scalar_one()


@pytest.fixture
def line(postgres: Cluster, database: str) -> Iterator[Line]:
    network = Proxy(postgres.port)
    found = Line(network, database)
    yield found
    found.engine.dispose()
    network.close()


def test_who_is_in_a_hurry_gives_a_silent_server_up(line: Line) -> None:
    """In the middle of a call: a new connection has libpq's own limit."""
    line.hurried.set()
    with line.engine.connect() as connection:
        line.network.flowing.clear()
        threading.Timer(5.0, line.network.flowing.set).start()
        with pytest.raises(OperationalError, match="has said nothing for 1 s") as caught:
            connection.execute(sqlalchemy.text("SELECT 1"))
        assert is_outage(caught.value)
        assert caught.value.connection_invalidated
        line.network.flowing.set()
    line.hurried.clear()
    assert line.ask() == 1


def test_who_gave_up_is_not_kept_waiting_by_a_new_connection(line: Line) -> None:
    assert line.ask() == 1
    line.hurried.set()
    line.network.flowing.clear()
    threading.Timer(5.0, line.network.flowing.set).start()
    for _ in range(2):
        with pytest.raises(OperationalError, match="has said nothing for 1 s"):
            line.ask()
    assert line.network.taken == CONNECTIONS


def test_who_has_time_waits_and_gets_the_answer(line: Line) -> None:
    assert line.ask() == 1
    line.network.flowing.clear()
    threading.Timer(1.5, line.network.flowing.set).start()
    assert line.ask() == 1


def test_who_is_called_away_while_waiting_waits_no_longer(line: Line) -> None:
    with line.engine.connect() as connection:
        line.network.flowing.clear()
        threading.Timer(1.5, line.hurried.set).start()
        with pytest.raises(OperationalError, match="has said nothing"):
            connection.execute(sqlalchemy.text("SELECT 1"))


def test_a_server_that_answers_may_take_its_time_in_all(line: Line) -> None:
    line.hurried.set()
    with line.engine.connect() as connection:
        many = [connection.execute(sqlalchemy.text("SELECT pg_sleep(0.3)")) for _ in range(5)]
        rows = connection.execute(sqlalchemy.text("SELECT repeat('x', 100000) FROM generate_series(1, 100)"))
        assert len(rows.all()) == 100
    assert len(many) == 5


def test_errors_of_the_server_are_told_as_ever(line: Line) -> None:
    with pytest.raises(sqlalchemy.exc.ProgrammingError, match="nowhere"):
        line.ask("SELECT * FROM nowhere")
    assert line.ask() == 1
