"""What of a study has not reached MLflow: events of the living, of the dead, and those that were refused."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search.delivery import Rejected, Sink
from search.spool import REJECTED, UNREADABLE, Event, read_json

TRIED, REFUSED = "retried.jsonl", "refused.jsonl"  # being tried again; refused once more


@dataclass(frozen=True)
class Outbox:
    """The spool folder of a study, as it was when it was looked at.

    Attributes:
        live: Whether a process that logs to it is alive.
        dead: The spool files whose process is not; an empty one may be about to be locked.
        pending: The keys of runs that living processes have events of.
        waiting: How many events dead processes left.
        refused: The events that MLflow refused, with its reason, and were not tried again.
    """

    live: bool
    dead: frozenset[Path]
    pending: frozenset[str]
    waiting: int
    refused: tuple[tuple[Event, str], ...]


def look(folder: Path, ours: Collection[Path] = ()) -> Outbox:
    """Look at a spool folder; nothing is written.

    Args:
        folder: The folder.
        ours: Files that tell of nobody else: our own, and those of dead processes that we deliver.
    """
    pending: set[str] = set()
    live, dead, waiting = False, set(), 0
    for path in sorted(set(spool_files(folder)) - set(ours)):
        events = _undelivered(path)
        if _is_held(path):
            live = True
            pending |= {str(event.get("key")) for event in events}
        else:
            dead |= {path} if _is_begun(path) else set()
            waiting += len(events)
    refused = [entry for name in (TRIED, REJECTED) for entry in _refused(folder / name)]
    return Outbox(live, frozenset(dead), frozenset(pending), waiting, tuple(refused))


def spool_files(folder: Path) -> list[Path]:
    """The spool files in a folder."""
    return list(folder.glob("*-*-*.jsonl"))


def try_again(folder: Path, sink: Sink) -> list[tuple[Event, str | None]]:
    """Deliver what was refused once more; what is refused again is kept in `refused.jsonl`.

    Events say when they happened, so that one that comes late does not undo what came after it.

    Returns:
        The events, each with the reason where it was refused again.

    Raises:
        Outage: MLflow cannot be reached; the rest is tried the next time.
        OSError: The folder cannot be written.
    """
    outcomes = _tried(folder, sink)  # where an earlier attempt was broken off
    with _locked(folder / REJECTED) as there:
        if there:
            (folder / REJECTED).replace(folder / TRIED)  # living processes begin a new one
    return outcomes + _tried(folder, sink)


def _tried(folder: Path, sink: Sink) -> list[tuple[Event, str | None]]:
    """Deliver what lies in the file of what is tried again, and remove it."""
    outcomes: list[tuple[Event, str | None]] = []
    while True:
        with _locked(folder / TRIED):  # who had opened it before it was renamed may have added to it
            left = _refused(folder / TRIED)[len(outcomes) :]
            if not left:
                (folder / TRIED).unlink(missing_ok=True)
                return outcomes
        for event, reason in left:
            verdict = reason if event.get("op") == UNREADABLE else _verdict(sink, event)
            if verdict is not None:
                _keep(folder / REFUSED, {"reason": verdict, "event": event})
            outcomes.append((event, verdict))


@contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Hold the lock under which `search.spool.reject` writes a file; yields whether there is one."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        yield False
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield os.fstat(descriptor).st_nlink > 0
    finally:
        os.close(descriptor)


def _keep(path: Path, entry: Mapping[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(entry) + "\n")
        stream.flush()
        os.fsync(stream.fileno())


def _verdict(sink: Sink, event: Event) -> str | None:
    try:
        sink.deliver([event])
    except Rejected as verdict:
        return str(verdict)
    return None


def _refused(path: Path) -> list[tuple[Event, str]]:
    lines = [line for line in _lines(path) if isinstance(line.get("event"), dict)]
    return [(line["event"], str(line.get("reason", ""))) for line in lines]


def _undelivered(path: Path) -> list[dict[str, Any]]:
    offset = read_json(path.with_suffix(".cursor")).get("offset", 0)
    return list(_lines(path, offset if isinstance(offset, int) else 0))


def _lines(path: Path, offset: int = 0) -> Iterator[dict[str, Any]]:
    """The whole lines of a file from an offset on; one that is no JSON object counts, but says nothing."""
    try:
        with path.open("rb") as stream:
            stream.seek(offset)
            lines = [line for line in stream if line.endswith(b"\n")]
    except FileNotFoundError:  # delivered in this moment
        return
    for line in lines:
        try:
            value = json.loads(line)
        except ValueError:
            value = None
        yield value if isinstance(value, dict) else {}


def _is_begun(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except FileNotFoundError:  # delivered in this moment
        return False


def _is_held(path: Path) -> bool:
    """Whether the process that writes a spool file, or delivers it, is alive: it holds the file's lock."""
    with _opened(path) as stream:
        if stream is None:
            return False
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        stream = path.open("rb")
    except FileNotFoundError:
        yield None
        return
    with stream:
        yield stream
