"""The outbox of one process: events in a file that outlives it, and the files that the dead left behind.

One JSON object a line, appended and synchronised to disk before the call returns (about 2 ms). While its
process lives, it holds the file's lock (`flock`), so a free lock means a dead writer. A cursor file beside
each spool says how far delivery got; what lies behind it may be delivered twice, never lost.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from data_prep.files import make_folders, naming, sync_folder, whole_file, write_at_end

Event: TypeAlias = dict[str, Any]

REJECTED = "rejected.jsonl"
UNREADABLE = "unreadable"


class Entry(NamedTuple):
    """One event of a spool file.

    Attributes:
        event: The event; a complete line that is not a JSON object comes as `op` "unreadable".
        end: Offset in bytes of the line after it.
    """

    event: Event
    end: int


class SpoolFile:
    """One spool file, locked for as long as this object is open.

    Threads of one process may share it. Make one with `create` or `adopt`.

    Attributes:
        path: The file.
        left: Complete events not yet committed.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self._lock = threading.Lock()
        self._end = 0
        self._position = 0
        self.left = 0

    @classmethod
    def create(cls, folder: Path) -> SpoolFile:
        """Start this process's own spool file, `host-pid-starttime-random.jsonl`.

        Raises:
            OSError: The folder cannot be written.
        """
        make_folders(folder)
        while True:
            stamp = f"{time.time_ns() // 1_000_000}-{secrets.token_hex(4)}"
            path = folder / f"{socket.gethostname()}-{os.getpid()}-{stamp}.jsonl"
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            # Another process may have taken the still unlocked, empty file for a dead one's and removed it.
            if os.fstat(descriptor).st_nlink:
                sync_folder(folder)
                return cls(path, descriptor)
            os.close(descriptor)

    @classmethod
    def adopt(cls, path: Path) -> SpoolFile | None:
        """Take over the spool file of a dead writer; None while its writer or another adopter lives."""
        try:
            descriptor = os.open(path, os.O_RDWR)
        except (FileNotFoundError, PermissionError):
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        if not os.fstat(descriptor).st_nlink:
            os.close(descriptor)
            return None
        spool = cls(path, descriptor)
        spool._resume()
        return spool

    def append(self, *events: Mapping[str, Any]) -> None:
        """Add events durably; several at once wait for the disk but once.

        Raises:
            OSError: The disk refused it; the file is as it was before, and the error names it.
            TypeError, ValueError: An event is not JSON (NaN and infinity are not).
        """
        lines = (json.dumps(event, separators=(",", ":"), allow_nan=False) + "\n" for event in events)
        text = "".join(lines).encode()
        with self._lock:
            with naming(self.path):
                write_at_end(self._descriptor, text, self._end)
            self._end += len(text)
            self.left += len(events)

    def read(self, limit: int) -> list[Entry]:
        """The next at most `limit` undelivered events, oldest first; a torn last line is left out."""
        entries: list[Entry] = []
        with self.path.open("rb") as stream:
            stream.seek(self._position)
            for line in stream:
                if len(entries) == limit or not line.endswith(b"\n"):
                    break
                end = (entries[-1].end if entries else self._position) + len(line)
                entries.append(Entry(_parse(line), end))
        return entries

    def commit(self, end: int, count: int) -> None:
        """Note that delivery got to offset `end`, `count` events further.

        Raises:
            OSError: The disk refused it; delivery is where it was before.
        """
        write_json(self._cursor, {"offset": end})
        with self._lock:
            self._position = end
            self.left -= count

    def close(self) -> None:
        """Release the lock; a file that is delivered completely is removed."""
        if not self.left:
            # In this order: without its cursor the file would be delivered once more from its beginning.
            self.path.unlink(missing_ok=True)
            self._cursor.unlink(missing_ok=True)
        os.close(self._descriptor)

    def discard(self) -> None:
        """Release the lock and remove the file, whatever it holds."""
        self.left = 0
        self.close()

    @property
    def _cursor(self) -> Path:
        return self.path.with_suffix(".cursor")

    def _resume(self) -> None:
        offset = read_json(self._cursor).get("offset", 0)
        size = self.path.stat().st_size
        self._position = offset if isinstance(offset, int) and 0 <= offset <= size else 0
        with self.path.open("rb") as stream:
            stream.seek(self._position)
            self.left = sum(line.endswith(b"\n") for line in stream)


def has_dead_writer(folder: Path) -> bool:
    """Whether a process died or left before all it had to tell was delivered; nothing is written."""
    return bool(dead_files(folder))


def dead_files(folder: Path) -> list[Path]:
    """The spool files of dead writers, the oldest first; nothing is written."""
    return sorted(filter(_is_free, _named(folder, ".jsonl")), key=_started)


def peek(path: Path) -> list[Event]:
    """The events of a file, delivered ones too; nothing is locked or written, a torn last line left out."""
    return [_parse(line) for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]


def adopt_orphans(folder: Path) -> list[SpoolFile]:
    """Take over every spool file in `folder` whose writer is dead, the oldest first.

    Files with nothing left to deliver are removed on the way.
    """
    adopted = []
    for cursor in _named(folder, ".cursor"):  # of files whose last owner was killed between the two
        if not cursor.with_suffix(".jsonl").exists():
            cursor.unlink(missing_ok=True)
    for path in sorted(_named(folder, ".jsonl"), key=_started):
        spool = SpoolFile.adopt(path)
        if spool is None:
            continue
        if spool.left:
            adopted.append(spool)
        else:
            spool.close()
    return adopted


def reject(folder: Path, event: Event, reason: str) -> None:
    """Put an event that cannot be delivered into `rejected.jsonl`, with the reason, durably.

    Raises:
        OSError: The disk refused it.
    """
    line = json.dumps({"time": time.time_ns() // 1_000_000, "reason": reason, "event": event}) + "\n"
    path = folder / REJECTED
    descriptor = _locked(path)
    try:
        end = os.fstat(descriptor).st_size
        is_torn = end > 0 and os.pread(descriptor, 1, end - 1) != b"\n"  # whoever died while writing
        with naming(path):
            write_at_end(descriptor, b"\n" * is_torn + line.encode(), end)
    finally:
        os.close(descriptor)


def _locked(path: Path) -> int:
    """A descriptor of the file, locked; one that was removed while its lock was waited for is opened anew."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return descriptor
        os.close(descriptor)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Replace a small JSON file as a whole."""
    with whole_file(path) as draft:
        draft.write_text(json.dumps(value), encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; empty where the file is missing or spoilt."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _named(folder: Path, suffix: str) -> list[Path]:
    """The files of spools; hidden ones are drafts of a process that writes them now."""
    return [path for path in folder.glob(f"*-*-*{suffix}") if not path.name.startswith(".")]


def _is_free(path: Path) -> bool:
    """Whether nobody holds the lock of a spool file."""
    try:
        with path.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (FileNotFoundError, BlockingIOError):
        return False
    return True


def _parse(line: bytes) -> Event:
    try:
        event = json.loads(line)
    except ValueError:
        event = None
    if isinstance(event, dict):
        return event
    return {"op": UNREADABLE, "line": line.decode(errors="replace")}


def _started(path: Path) -> int:
    stamp = path.stem.rsplit("-", 2)[-2]
    return int(stamp) if stamp.isdigit() else 0
