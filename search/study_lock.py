"""Locks of a study: between the processes of a home, or, beside PostgreSQL, between all machines."""

from __future__ import annotations

import fcntl
import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias, TypeVar

import sqlalchemy
from optuna.storages import BaseStorage
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from search.database import CONNECT_SECONDS, engine_options, is_outage, reason_of
from search.home import StudyFolder
from search.patient import LockBusyError, PatientStorage, StorageAwayError, hastily
from search.silence import limit_silence

Result = TypeVar("Result")

LONGEST_HELD = 60.0  # seconds that whoever is in a hurry waits for
TURN_SECONDS = 2.0  # between two looks whether waiting has still a point
# A process that was stopped while it held the lock loses it. Needs PostgreSQL 14.
SESSION = f"-c idle_session_timeout=120s -c lock_timeout={TURN_SECONDS:.0f}s"
BUSY = "55P03"  # PostgreSQL's lock_not_available


class DatabaseLock:
    """An advisory lock of PostgreSQL: whoever dies, or is cut off from the database, gives it back.

    It has a connection of its own for as long as it is held. A pool of connections between us and the
    database must be one a session ("session mode"), as the lock belongs to the session.

    Args:
        storage: The storage; waiting for the lock is as patient as it is.
        name: What is locked.

    References:
        PostgreSQL documentation, "Explicit Locking", section "Advisory Locks".
    """

    def __init__(self, storage: PatientStorage, name: str) -> None:
        self._storage = storage
        digest = hashlib.sha256(f"radsearch:{name}".encode()).digest()
        self._key = int.from_bytes(digest[:8], "big", signed=True)
        arguments = engine_options(storage.url)["connect_args"]
        self._engine = sqlalchemy.create_engine(
            storage.url,
            poolclass=sqlalchemy.NullPool,
            isolation_level="AUTOCOMMIT",
            connect_args=arguments | {"options": f"{arguments['options']} {SESSION}"},
        )
        limit_silence(self._engine, CONNECT_SECONDS, storage.is_hurried)
        self._kept: sqlalchemy.Connection | None = None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock. Trials are made and ended within the block only while it is really held.

        Raises:
            StorageAwayError: The database does not answer, or the lock was lost within the block.
            LockBusyError: Another process keeps it, and this thread has no time to wait.
        """
        try:
            with self._engine.connect() as connection:
                self._wait_for(connection)
                with self._storage.fenced(lambda: _check(connection)):
                    yield  # closing the connection, which no pool keeps, gives the lock back
        except SQLAlchemyError as error:
            if is_outage(error):
                raise StorageAwayError(reason_of(error)) from error
            raise

    def _wait_for(self, connection: sqlalchemy.Connection) -> None:
        began = time.monotonic()
        while True:
            try:
                connection.execute(sqlalchemy.select(sqlalchemy.func.pg_advisory_lock(self._key)))
                return
            except OperationalError as error:
                if getattr(error.orig, "sqlstate", None) != BUSY:
                    raise
            late = self._storage.in_haste and time.monotonic() - began > LONGEST_HELD
            if late or self._storage.patience.stop.is_set():
                raise LockBusyError("another process holds the study's lock")

    def try_for_good(self) -> bool:
        """Take the lock, if nobody else has it, until `let_go`; True also where it is ours already.

        Raises:
            SQLAlchemyError: The database does not answer; the lock is then nobody's.
        """
        try:
            if self._kept is None:
                self._kept = self._engine.connect()
            asked = sqlalchemy.select(sqlalchemy.func.pg_try_advisory_lock(self._key))
            if self._kept.execute(asked).scalar_one():
                return True
        except SQLAlchemyError:
            self.let_go()
            raise
        self.let_go()
        return False

    def let_go(self) -> None:
        """Give back what `try_for_good` took."""
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.close()

    def run(self, block: Callable[[], Result]) -> Result:
        """Run a block under the lock, again from its start where the database goes away meanwhile.

        The lock is then lost, so that what the block has read no longer holds: it makes and ends no trial any
        more, see `held`.

        Raises:
            StudyStoppedError: The storage's patience is at its end.
        """
        return self._storage.patiently(lambda: self._attempt(block))

    def _attempt(self, block: Callable[[], Result]) -> Result:
        """Run a block once; that the lock could not be given back does not undo what it did."""
        done: list[Result] = []
        try:
            with self.held(), hastily(self._storage):
                done.append(block())
        except StorageAwayError:
            if not done:
                raise
        return done[0]


def _check(connection: sqlalchemy.Connection) -> None:
    """Refuse to go on where the session that holds a lock has ended, and the lock with it."""
    try:
        connection.execute(sqlalchemy.text("SELECT 1"))
    except SQLAlchemyError as error:
        raise StorageAwayError(reason_of(error)) from error


Lock: TypeAlias = Path | DatabaseLock


def database_lock(storage: BaseStorage, name: str) -> DatabaseLock | None:
    """A lock between all machines; None for a storage of one machine."""
    return DatabaseLock(storage, name) if isinstance(storage, PatientStorage) else None


def lock_of(storage: BaseStorage, folder: StudyFolder) -> Lock:
    """What keeps two processes from handing out, failing or copying a study's trials at once.

    Args:
        storage: Where the trials are.
        folder: The study's folder, which holds the lock of a storage that has none.
    """
    return database_lock(storage, f"study:{folder.root.name}") or folder.reaper_lock


@contextmanager
def exclusive(lock: Lock) -> Iterator[None]:
    """Hold a lock that is freed when its holder dies."""
    if isinstance(lock, DatabaseLock):
        with lock.held():
            yield
        return
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def locked(lock: Lock, block: Callable[[], Result]) -> Result:
    """Run a block under a lock.

    Args:
        lock: The lock.
        block: May be run several times, see `DatabaseLock.run`.
    """
    if isinstance(lock, DatabaseLock):
        return lock.run(block)
    with exclusive(lock):
        return block()
