"""What a run writes to PostgreSQL, as points at which it may die: each commit, each lock just taken.

Between two commits nothing changes that a killed process would leave behind: what it has not committed, and
the locks it held, the server takes back when its connection ends.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.engine.default import DefaultDialect

ComeBy = Callable[[str, dict[str, Callable[[], object]]], None]
WRITE = re.compile(r"(?P<verb>INSERT INTO|UPDATE|DELETE FROM) (?P<table>\w+)")
NO_RECORD = ("trial_heartbeats",)  # of a thread, by the clock


def watch(come_by: ComeBy, cut: bool) -> None:
    """Come by every commit to PostgreSQL that changes something, and every advisory lock.

    Args:
        come_by: Called with a label and the ways to die there: "before" the commit and "after" it.
        cut: Whether the point is met to break the connection there: the process lives on without an answer.
    """
    written: dict[int, list[str]] = {}
    commit = DefaultDialect.do_commit

    @event.listens_for(Engine, "begin")
    def forget(conn: Any) -> None:
        written.pop(id(conn.connection.dbapi_connection), None)

    @event.listens_for(Engine, "after_cursor_execute")
    def note(conn: Any, _: object, statement: str, parameters: Any, *__: object) -> None:
        if conn.dialect.name != "postgresql":
            return
        if "pg_advisory_lock" in statement:
            come_by("locked", {"after": lambda: None})
        about = _about(statement, parameters)
        if about and not about.endswith(NO_RECORD):
            texts = written.setdefault(id(conn.connection.dbapi_connection), [])
            texts += [] if about in texts else [about]

    def do_commit(self: DefaultDialect, connection: Any) -> None:
        texts = written.pop(id(connection.dbapi_connection), [])
        if self.name == "postgresql" and texts:
            lost = (lambda: lose(connection.dbapi_connection)) if cut else (lambda: None)

            def carried_out() -> None:
                commit(self, connection)
                lost()

            # What is made all at once, a copy above all, goes by its first word.
            come_by(f"commit {texts[0]}", {"before": lost, "after": carried_out})
        commit(self, connection)

    DefaultDialect.do_commit = do_commit  # type: ignore[method-assign]


def lose(connection: Any) -> None:
    """Break a connection as a server does that dies.

    Raises:
        psycopg.OperationalError: Always.
    """
    import psycopg

    connection.close()
    raise psycopg.OperationalError("server closed the connection unexpectedly")


def _about(statement: str, parameters: Any) -> str:
    """The table that a statement changes, and the attribute if it is one; empty for one that only reads."""
    found = WRITE.match(statement)
    if found is None:
        return ""
    first = parameters if isinstance(parameters, Mapping) else {}
    key = first.get("key") or first.get("param_name") or first.get("state") or ""
    name = str(getattr(key, "name", key))
    return " ".join(filter(None, (found["verb"].partition(" ")[0], found["table"], name)))
