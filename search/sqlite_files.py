"""SQLite files: made whole, opened by one process at a time, and read without leaving a trace in them."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from data_prep.files import make_folders, naming, sync_file, sync_folder

NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}  # exFAT, some network file systems
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
def file_made_once(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write to; it becomes `path` when the block ends well, unless that is there.

    A file that another program made meanwhile stays: it may have it open. The temporary name is as that of
    `data_prep.files.whole_file`.

    Raises:
        OSError: It cannot be written; the error names the file.
    """
    draft = path.with_name(f".{path.stem[:40]}.{uuid.uuid4().hex}{path.suffix}")
    with naming(path):
        make_folders(path.parent)
        try:
            yield draft
            sync_file(draft)
            _put_if_absent(draft, path)
            sync_folder(path.parent)
        finally:
            for suffix in ("", *SIDE_FILES):
                with suppress(OSError):  # the error that led here says more
                    Path(f"{draft}{suffix}").unlink(missing_ok=True)


def _put_if_absent(draft: Path, path: Path) -> None:
    """Give a file its name unless another has it; without hard links, as near to that as can be."""
    try:
        os.link(draft, path)
    except FileExistsError:
        return
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        if not path.exists():
            draft.replace(path)


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
