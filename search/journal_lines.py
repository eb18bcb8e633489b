"""The lines of Optuna's journal, one JSON record each, and its lock."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

from data_prep.files import naming

Record = dict[str, Any]

HEAD = b'{"op_code":'  # how Optuna begins each record
BLOCK = 1 << 16
BLANK = b" "  # no part of the record after it


class Line(NamedTuple):
    """One line.

    Attributes:
        number: Counted from 1.
        start: Where it begins, in bytes.
        text: Its bytes, with the line break unless it is torn.
        record: What it says, None where it is no record.
        torn: Bytes before the record that are of a torn one.
    """

    number: int
    start: int
    text: bytes
    record: Record | None
    torn: int

    @property
    def end(self) -> int:
        """Where the next one begins."""
        return self.start + len(self.text)


def read_lines(path: Path, number: int = 0, offset: int = 0) -> Iterator[Line]:
    """The lines after the first `number`, which end at `offset`.

    The last may lack its line break, and is no record then: it is torn, or another process is writing it.
    """
    with path.open("rb") as stream:
        stream.seek(offset)
        for count, text in enumerate(stream, start=number + 1):
            if not text.endswith(b"\n"):
                yield Line(count, offset, text, None, 0)
                return  # what is added meanwhile is no line of its own
            yield Line(count, offset, text, *parse(text))
            offset += len(text)


def parse(text: bytes) -> tuple[Record | None, int]:
    """The record that ends a line, and how many bytes of a torn one stand before it.

    >>> parse(b'{"op_code": 4, "worker_id": "a"}')
    ({'op_code': 4, 'worker_id': 'a'}, 0)
    >>> parse(b'{"op_code":4,"wor{"op_code":0,"worker_id":"b"}')
    ({'op_code': 0, 'worker_id': 'b'}, 17)
    """
    start = 0
    while start >= 0:
        try:
            record = json.loads(text[start:].decode())
        except ValueError:
            record = None
        if isinstance(record, dict) and "op_code" in record and "worker_id" in record:
            return record, start
        start = text.find(HEAD, start + 1)
    return None, 0


def tail_of(path: Path) -> tuple[int, int]:
    """Where what follows the last record begins, and where it ends; however long the journal is."""
    with path.open("rb") as stream:
        end, size = stream.seek(0, os.SEEK_END), BLOCK
        while True:
            start = max(end - size, 0)
            stream.seek(start)
            *lines, torn = stream.read(end - start).split(b"\n")
            tail = end - len(torn)
            for line in reversed(lines if start == 0 else lines[1:]):
                if parse(line)[0] is not None:
                    return tail, end
                tail -= len(line) + 1
            if start == 0:
                return 0, end
            size *= 4


def torn_line(path: Path) -> tuple[int, int]:
    """Where a last line without a line break begins and ends; nobody has taken it for a record."""
    with path.open("rb") as stream:
        end = start = stream.seek(0, os.SEEK_END)
        text = b""
        while start > 0 and b"\n" not in text:
            size = min(BLOCK if text else 1, start)
            start -= size
            stream.seek(start)
            text = stream.read(size) + text
        return end - len(text.rpartition(b"\n")[2]), end


def cut_out(path: Path, start: int, end: int) -> bytes:
    """The bytes from `start` to `end`; none where they are blank."""
    with path.open("rb") as stream:
        stream.seek(start)
        text = stream.read(end - start)
    return text if text.strip(BLANK) else b""


def blank(path: Path, start: int, end: int) -> None:
    """Overwrite bytes with blanks, durably; the file is as long as before, and takes no more of the disk."""
    with naming(path), path.open("r+b") as stream:
        stream.seek(start)
        stream.write(BLANK * (end - start))
        stream.flush()
        os.fsync(stream.fileno())


def hold(path: Path) -> IO[bytes]:
    """Wait for the journal's lock, which the kernel frees when its holder dies; closing the file frees it."""
    lock = _lock_of(path)
    while True:
        handle = lock.open("ab")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            # Optuna's own lock takes a file that is in its way for a dead holder's, and removes it.
            if lock.exists() and os.path.samestat(os.fstat(handle.fileno()), lock.stat()):
                return handle
        except BaseException:
            handle.close()
            raise
        handle.close()


@contextmanager
def undisturbed(path: Path) -> Iterator[None]:
    """Keep writers out, by no more than reading a lock that is there already."""
    try:
        handle = _lock_of(path).open("rb")
    except OSError:
        yield
        return
    with handle:
        fcntl.flock(handle, fcntl.LOCK_SH)
        yield


def _lock_of(path: Path) -> Path:
    return path.with_name(path.name + ".lock")
