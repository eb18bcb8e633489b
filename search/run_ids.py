"""Which MLflow run belongs to which key of a study, remembered in the spool folder by all its processes."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

EXPERIMENT = ""


class RunIds:
    """Run ids by key, for one experiment in one store.

    Kept in `runs.json`: lines of JSON, each `{store: {key: run id}}`, appended only, so that the cost of a
    note does not grow with their number; a later line wins. Read on from where it was left whenever the file
    has grown. Reading needs no MLflow.

    Args:
        folder: The study's spool folder.
        uri: Tracking URI; only its hash is kept, it may hold a password.
        experiment: Name of the experiment.
    """

    def __init__(self, folder: Path, uri: str, experiment: str) -> None:
        self._path = folder / "runs.json"
        self._lock = folder / "runs.lock"
        self._target = hashlib.sha256(f"{uri}\n{experiment}".encode()).hexdigest()[:16]
        self._reading = threading.Lock()
        self._file = self._size = self._offset = 0
        self._known: dict[str, str] = {}

    def get(self, key: str) -> str | None:
        """The run of `key`, None while there is none (the empty key is the experiment's own id)."""
        with self._reading:
            self._catch_up()
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
        if self.get(key) != run_id:
            line = json.dumps({self._target: {key: run_id}}).encode()
            with self._path.open("ab") as stream:
                stream.write(b"\n" + line + b"\n")  # whoever died while writing left half a line before it

    def _catch_up(self) -> None:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            self._file, self._known = 0, {}
            return
        if status.st_ino != self._file or status.st_size < self._offset:
            self._file, self._size, self._offset, self._known = status.st_ino, 0, 0, {}
        if status.st_size != self._size:
            with self._path.open("rb") as stream:
                self._read(stream)

    def _read(self, stream: BinaryIO) -> None:
        """Take over what was added; half a line is looked at again later."""
        stream.seek(self._offset)
        for line in stream:
            self._known |= _parse(line).get(self._target, {})
            if line.endswith(b"\n"):
                self._offset += len(line)
        self._size = stream.tell()


def _parse(line: bytes) -> dict[str, dict[str, str]]:
    try:
        value = json.loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
