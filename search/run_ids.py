"""Which MLflow run belongs to which key of a study, remembered in the spool folder by all its processes."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from search.spool import read_json, write_json

EXPERIMENT = ""


class RunIds:
    """Run ids by key, for one experiment in one store.

    Kept in `runs.json`, read anew whenever another process replaced it. Reading needs no MLflow.

    Args:
        folder: The study's spool folder.
        uri: Tracking URI; only its hash is kept, it may hold a password.
        experiment: Name of the experiment.
    """

    def __init__(self, folder: Path, uri: str, experiment: str) -> None:
        self._path = folder / "runs.json"
        self._lock = folder / "runs.lock"
        self._target = hashlib.sha256(f"{uri}\n{experiment}".encode()).hexdigest()[:16]
        self._stamp: tuple[int, int] | None = None
        self._known: dict[str, str] = {}

    def get(self, key: str) -> str | None:
        """The run of `key`, None while there is none (the empty key is the experiment's own id)."""
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return None
        stamp = (status.st_ino, status.st_mtime_ns)
        if stamp != self._stamp:
            self._known = self._load().get(self._target, {})
            self._stamp = stamp
        return self._known.get(key)

    @contextmanager
    def locked(self) -> Iterator[Callable[[str, str], None]]:
        """Keep every other process from creating runs; yields the function that notes `(key, run id)`."""
        self._lock.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield self._note
        finally:
            os.close(descriptor)

    def _note(self, key: str, run_id: str) -> None:
        targets = self._load()
        targets[self._target] = targets.get(self._target, {}) | {key: run_id}
        write_json(self._path, targets)

    def _load(self) -> dict[str, Any]:
        return read_json(self._path)
