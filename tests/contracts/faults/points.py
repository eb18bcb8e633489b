"""Crash points: every write of a run that outlives it, counted, and one of them its last.

Seen are opened, renamed and removed files (Python's audit events), what is synchronised to disk, calls that
change MLflow, and the commits of its database. Between two of them nothing changes that a killed process
would leave behind. A point is a label ("sync optuna.journal SET_TRIAL_USER_ATTR owner"), how often it came up
before, and how the process dies there: "before" it, "after" it, or with it half done ("torn").
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import wraps
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from tests.contracts.faults import statements

REST = 1.0  # seconds in which other threads let go of MLflow's database, before they are stopped too
WRITING = os.O_WRONLY | os.O_RDWR
CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.symlink")
CALLS = (
    "create_experiment",
    "create_run",
    "update_run",
    "log_batch",
    "log_artifact",
    "log_text",
    "set_terminated",
    "delete_run",
    "set_tag",
    "log_metric",
)
DRAFT = re.compile(r"^\.(?P<stem>.+)\.[0-9a-f]{32}(?P<suffix>\.\w+)?$")


class Point(NamedTuple):
    """Where a process dies."""

    label: str
    before: int
    how: str

    def __str__(self) -> str:
        return f"{self.how} {self.label} #{self.before}"


def install(root: str, log: str, point: list[Any] | None, stop: bool = False, cut: bool = False) -> None:
    """Note every point of this process in `log`, one JSON list a line, and die at `point`.

    Args:
        root: The home.
        log: Where points are noted.
        point: None to go on to the end.
        stop: Whether it is stopped there, and does not die.
        cut: Whether its connection to PostgreSQL breaks there, and nothing else happens.
    """
    end = signal.SIGSTOP if stop else signal.SIGKILL
    _Watch(Path(root), Path(log), Point(*point) if point else None, end, cut)


def noted(log: Path) -> list[Point]:
    """The points that a process came by, in order."""
    return [Point(*json.loads(line)) for line in log.read_text().splitlines()]


class _Watch:
    def __init__(
        self, root: Path, log: Path, point: Point | None, end: signal.Signals, cut: bool = False
    ) -> None:
        self._root, self._point, self._end = str(root.resolve()), point, end
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._seen: Counter[str] = Counter()
        self._lock = threading.RLock()
        self._busy = threading.local()
        sys.addaudithook(self._on_event)
        self._fsync, os.fsync = os.fsync, self._on_sync
        self._wrap_mlflow()
        statements.watch(lambda label, ways: self._come_by(_general(label), ways), cut)

    def _come_by(self, label: str, ways: dict[str, Callable[[], object]]) -> None:
        """Count a label; die there in one of the `ways` that it offers, each a step before the death."""
        with self._lock:
            count = self._seen[label]
            self._seen[label] += 1
            lines = [json.dumps([label, count, how]) + "\n" for how in ways]
            os.write(self._log, "".join(lines).encode())
            is_here = self._point is not None and self._point[:2] == (label, count)
            if not is_here or self._point is None or self._point.how not in ways:
                return
            ways[self._point.how]()
            if self._end == signal.SIGKILL:
                os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(REST)
        os.kill(os.getpid(), self._end)

    def _on_event(self, event: str, args: tuple[Any, ...]) -> None:
        if event != "open" and event not in CHANGES:
            return
        if getattr(self._busy, "on", False) or not isinstance(args[0], str | os.PathLike):
            return
        path = os.path.abspath(os.fspath(args[0]))  # noqa: PTH100 - no audit event of its own
        if isinstance(path, bytes) or not path.startswith(self._root) or self._is_no_record(path):
            return
        if event != "open":
            made = event in ("os.mkdir", "os.link", "os.symlink")
            if made == Path(path).exists():
                return  # nothing changes
            self._guarded(f"{event.removeprefix('os.')} {self._name(path)}", {"before": lambda: None})
        elif args[2] & WRITING and not path.endswith("optuna.journal"):
            ways: dict[str, Callable[[], object]] = {"before": lambda: None}
            if not DRAFT.match(Path(path).name) and not path.endswith(".lock"):
                ways["torn"] = lambda: _half_write(path, args[2])
            self._guarded(f"open {self._name(path)}", ways)

    @staticmethod
    def _is_no_record(path: str) -> bool:
        """SQLite's own files, and locks; but whoever opens the journal's lock is about to write to it."""
        return path.endswith("-journal") or (path.endswith(".lock") and not path.endswith("journal.lock"))

    def _guarded(self, label: str, ways: dict[str, Callable[[], object]]) -> None:
        self._busy.on = True
        try:
            self._come_by(label, ways)
        finally:
            self._busy.on = False

    def _on_sync(self, descriptor: int) -> None:
        number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
        path = os.readlink(f"/proc/self/fd/{number}")  # noqa: PTH115
        if path.startswith(self._root) and Path(path).is_file():
            self._busy.on = True
            last = Path(path).read_bytes().rstrip(b"\n").rpartition(b"\n")[2]
            ways: dict[str, Callable[[], object]] = {"after": lambda: None}
            if path.endswith((".jsonl", ".journal")):
                ways["torn"] = lambda: _cut(path, len(last))
            self._guarded(f"sync {self._name(path)} {_said(last)}".strip(), ways)
        self._fsync(descriptor)

    def _name(self, path: str) -> str:
        """The path below the home, without what differs from one run to the next."""
        place = Path(path).relative_to(self._root)
        draft = DRAFT.match(place.name)
        if draft:
            place = place.with_name(f"draft of {draft['stem']}{draft['suffix'] or ''}")
        text = re.sub(r"spool/.+\.(jsonl|cursor)", r"spool/*.\1", str(place))
        return _general(re.sub(r"(uploading)\.\w+", r"\1", text))

    def _wrap_mlflow(self) -> None:
        from mlflow import MlflowClient
        from sqlalchemy import event
        from sqlalchemy.engine import Engine

        for name in CALLS:
            setattr(MlflowClient, name, self._wrapped(name, getattr(MlflowClient, name)))

        @event.listens_for(Engine, "commit")
        def commit(connection: Any) -> None:
            if connection.dialect.name == "sqlite":
                self._come_by(f"commit in {getattr(self._busy, 'call', None)}", {"before": lambda: None})

    def _wrapped(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(call)
        def watched(*args: Any, **kwargs: Any) -> Any:
            outer = getattr(self._busy, "call", None)
            self._busy.call = name
            try:
                result = call(*args, **kwargs)
            finally:
                self._busy.call = outer
            if outer is None:
                self._come_by(f"call {name}", {"after": lambda: None})
            return result

        return watched


def _said(line: bytes) -> str:
    """What a line of a journal or a spool is about."""
    try:
        record = json.loads(line)
    except ValueError:
        return ""
    if "op_code" in record:
        from optuna.storages.journal._storage import JournalOperation

        about = record.get("user_attr") or record.get("system_attr") or {}
        about = next(iter(about), record.get("param_name", record.get("state", "")))
        return f"{JournalOperation(record['op_code']).name} {_general(str(about))}"
    return f"{record.get('op', '')} {_general(str(record.get('key', '')))}"


def _general(name: str) -> str:
    """A name without what differs from one run, trial or fold to the next."""
    return re.sub(
        r"\b\d+\b", "N", re.sub(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID", name)
    )


def _cut(path: str, last: int) -> None:
    """Take half of its last line from a file."""
    os.truncate(path, Path(path).stat().st_size - 1 - last // 2)


def _half_write(path: str, flags: int) -> None:
    """Leave what a writer leaves who is killed at its first bytes."""
    if Path(path).parent.is_dir():
        mode = (flags & (os.O_APPEND | os.O_TRUNC)) | os.O_WRONLY | os.O_CREAT
        start = b"\n" if path.endswith("runs.json") else b""  # each of its lines begins with a line break
        os.write(os.open(path, mode, 0o644), start + b'{"half')


def sample(points: list[Point], size: int, draw: random.Random) -> list[Point]:
    """So many points, spread over the kinds of write: no kind has two before every one has had its turn."""
    kinds: dict[tuple[str, str], list[Point]] = {}
    for point in points:
        kinds.setdefault((point.label, point.how), []).append(point)
    queues = [draw.sample(some, len(some)) for some in kinds.values()]
    draw.shuffle(queues)
    rounds = zip_longest(*queues)
    return [point for turn in rounds for point in turn if point is not None][:size]
