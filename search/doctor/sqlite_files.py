"""SQLite files: opened by one process at a time, and read without leaving a trace in them."""

from __future__ import annotations

import fcntl
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

SIDE_FILES = ("-journal", "-wal", "-shm")  # what a transaction that was broken off left beside the file


def sqlite_file(uri: str) -> Path | None:
    """The file of a database URI with an absolute path; None where it is none of SQLite's.

    >>> sqlite_file("sqlite:////home/me/mlflow.db"), sqlite_file("http://mlflow.lab")
    (PosixPath('/home/me/mlflow.db'), None)
    """
    scheme, _, rest = uri.partition("://")
    return Path(rest.partition("?")[0][1:]) if scheme.partition("+")[0] == "sqlite" else None


@contextmanager
def one_at_a_time(uri: str) -> Iterator[None]:
    """Keep others of ours from opening the same SQLite file: two cannot make its tables at once.

    Args:
        uri: A database or an address; only a file is locked, by a file beside it.
    """
    file = sqlite_file(uri)
    if file is None:
        yield
        return
    with Path(f"{file}.lock").open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextmanager
def untouched(uri: str) -> Iterator[str | None]:
    """A URI to read from in its place: of a copy where it is an SQLite file, None where there is no file.

    Opening such a file may write: it is made where it is missing, and a transaction that a killed process
    left half done is rolled back.

    Args:
        uri: A database or an address.
    """
    file = sqlite_file(uri)
    if file is None:
        yield uri
        return
    if not file.is_file():
        yield None
        return
    with TemporaryDirectory() as folder:
        copy = Path(folder) / file.name
        with _no_writer(file):
            for suffix in ("", *SIDE_FILES):
                with suppress(FileNotFoundError):
                    shutil.copyfile(f"{file}{suffix}", f"{copy}{suffix}")
        yield f"sqlite:///{copy}"


@contextmanager
def _no_writer(file: Path) -> Iterator[None]:
    """Keep writers from committing, where the file can be read: not with half a transaction, nor a writer."""
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, isolation_level=None)) as connection:
        with suppress(sqlite3.OperationalError):
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM sqlite_master")
        yield
