"""Databases that hold a study's trials: which there are, how one is connected to, and when one is away."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from data_prep.problems import InputError
from search.errors import BeyondWaitingError, StudyStoppedError
from search.tracking_uri import without_password

POSTGRESQL, SQLITE = "postgresql", "sqlite"
CONNECT_SECONDS = 10
SILENCE_SECONDS = 30  # after which a peer that acknowledges nothing counts as gone
TABLES_LOCK = int.from_bytes(b"radtable", "big")  # of PostgreSQL's advisory locks, one in each database
# PostgreSQL's words for what does not mend itself.
REFUSED = re.compile(
    r"authentication failed|no password supplied|does not exist|permission denied|no pg_hba\.conf entry"
    r"|pg_hba\.conf rejects|not permitted to log in"
)
STATEMENT_SECONDS = 600  # above what reading a study of 10,000 trials takes

# Of the server's session: times are told in one zone whatever the machines' own; and a worker whose machine
# is gone gives its locks back within a minute, where the kernel's own patience is two hours.
SESSION = {
    "timezone": "UTC",
    "statement_timeout": f"{STATEMENT_SECONDS}s",
    "idle_in_transaction_session_timeout": "60s",
    "tcp_keepalives_idle": str(SILENCE_SECONDS),
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}


def backend_of(url: str) -> str:
    """The kind of database that a URL names, `POSTGRESQL` or `SQLITE`.

    Raises:
        InputError: It is no URL, of another kind, or its driver is not installed.
    """
    if url.partition("://")[2].partition("/")[0].count("@") > 1:
        raise InputError("--storage: a database URL is needed, in which an @ of a password is written %40")
    try:
        parsed = sqlalchemy.make_url(url)
        backend = parsed.get_backend_name()
    except (ArgumentError, ValueError) as error:
        raise InputError(f"--storage: a database URL is needed, but: {first_line(error)}") from error
    if backend not in (POSTGRESQL, SQLITE):
        raise InputError(
            "--storage: postgresql://USER@HOST/DATABASE is needed, or sqlite:/// for one slot, "
            f"but got {backend}"
        )
    if backend == POSTGRESQL and not parsed.database and not parsed.query:
        raise InputError("--storage: postgresql://USER@HOST/DATABASE is needed, but got no database")
    try:
        parsed.get_dialect().import_dbapi()
    except (ArgumentError, ImportError, ValueError) as error:
        raise InputError(f"--storage: a database URL is needed, but: {first_line(error)}") from error
    return backend


def engine_options(url: str) -> dict[str, Any]:
    """How SQLAlchemy connects to a storage.

    One connection of a process stays open and serves it nearly always; what several slots need at once comes
    beside it and is closed again, so that a cluster of workers does not use up the server's connections.
    """
    if backend_of(url) == SQLITE:
        return {}
    return {
        "pool_size": 1,
        "max_overflow": 8,
        "pool_timeout": 60,
        "pool_pre_ping": True,
        "connect_args": _connect_arguments(),
    }


@contextmanager
def making_tables(url: str) -> Iterator[None]:
    """Keep others of ours from making tables in the same database within the block: two cannot at once."""
    if backend_of(url) == SQLITE:
        yield
        return
    arguments = engine_options(url)["connect_args"]
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool, connect_args=arguments)
    with engine.connect() as connection:
        # It ends with the transaction, and that with the connection.
        connection.execute(sqlalchemy.select(sqlalchemy.func.pg_advisory_xact_lock(TABLES_LOCK)))
        yield


def stopped_by(error: BaseException, text: str) -> StudyStoppedError:
    """The error of a study that a database stops, which says whether waiting may help."""
    return (BeyondWaitingError if REFUSED.search(f"{error} {error.__cause__}") else StudyStoppedError)(text)


class UnansweredError(Exception):
    """A call was cut off that must not simply be made again, as it may have been carried out."""


def is_outage(error: BaseException) -> bool:
    """Whether an error says that the database does not answer now, not that it refuses a request."""
    if isinstance(error, StorageInternalError) and error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    return isinstance(error, OperationalError | InterfaceError | PoolTimeoutError | UnansweredError)


def raise_interruption(error: BaseException) -> None:
    """Raise Ctrl-C, SIGTERM or the like where they, and not the database, are what an error comes from.

    They come in the middle of a call. What SQLAlchemy then does to a connection that waits for its answer may
    fail, and that failure takes their place.
    """
    behind: BaseException | None = error
    while behind is not None:
        if not isinstance(behind, Exception | GeneratorExit):
            raise behind
        behind = behind.__cause__ or behind.__context__


def reason_of(error: BaseException) -> str:
    """The database's own words for an error, in one line and without a password."""
    cause = error.__cause__
    return first_line(cause if isinstance(error, StorageInternalError) and cause is not None else error)


def first_line(error: BaseException) -> str:
    """The first line of an error's text, without a password; its kind where it has no text."""
    text = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
    return without_password(re.sub(r"\s+", " ", text)) or type(error).__name__


def _connect_arguments() -> dict[str, Any]:
    """Of libpq: what notices a machine or a network that is gone without a word."""
    return {
        "connect_timeout": CONNECT_SECONDS,
        "application_name": "radsearch",
        "keepalives_idle": SILENCE_SECONDS,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "tcp_user_timeout": SILENCE_SECONDS * 1000,
        "options": " ".join(f"-c {name}={value}" for name, value in SESSION.items()),
    }
