"""What fits gave, in a file that grows by a line a fit: who is killed goes on where the last line ends."""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data_prep.files import make_folders, naming, write_at_end
from search.errors import StudyStoppedError
from search.records import FoldResult
from search.refits.fit import Fit

PASSING = "out of memory"  # a failure that another start, with fewer processes, may be spared


class FitLedger:
    """The results of fits, by what each fit is and what it depends on; threads may share it.

    Use it as `with FitLedger.open(path, context) as ledger`: one process at a time.

    Args:
        path: The file.
        context: Of `search.refits.fit.context_of`; results of another context are kept, but not seen.
    """

    def __init__(self, path: Path, context: str, descriptor: int) -> None:
        self._path, self._context, self._descriptor = path, context, descriptor
        self._lock = threading.Lock()
        self._results: dict[str, FoldResult | str] = {}
        self._end = self._read()

    @classmethod
    @contextmanager
    def open(cls, path: Path, context: str) -> Iterator[FitLedger]:
        """Open the file, made if need be.

        Raises:
            StudyStoppedError: Another process is writing to it.
        """
        make_folders(path.parent)
        with naming(path):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StudyStoppedError(
                    f"{path}: another process is at work on it; wait for its end"
                ) from None
            yield cls(path, context, descriptor)
        finally:
            os.close(descriptor)

    @property
    def context(self) -> str:
        """What the results that are seen depend on beside their fits."""
        return self._context

    def __contains__(self, fit: Fit) -> bool:
        return fit.key in self._results

    def result(self, fit: Fit) -> FoldResult | None:
        """What a fit gave; None where the model could not be fitted.

        Raises:
            KeyError: It was not run.
        """
        found = self._results[fit.key]
        return found if isinstance(found, FoldResult) else None

    def failure(self, fit: Fit) -> str | None:
        """Why a fit gave nothing; None where it gave something, or was not run."""
        found = self._results.get(fit.key)
        return found if isinstance(found, str) else None

    def book(self, fit: Fit, result: FoldResult | str) -> None:
        """Make a result, or why there is none, durable.

        Raises:
            OSError: The disk refused it.
        """
        told = {"failure": result} if isinstance(result, str) else {"result": json.loads(result.to_json())}
        line = json.dumps({"context": self._context, "fit": fit.key, **told}, allow_nan=False) + "\n"
        with self._lock, naming(self._path):
            write_at_end(self._descriptor, line.encode(), self._end)
            self._end += len(line.encode())
            self._results[fit.key] = result

    def _read(self) -> int:
        """Take in what is there; returns where the last whole line ends: a torn one is written over."""
        end = 0
        with self._path.open("rb") as stream:
            for line in stream:
                if not line.endswith(b"\n"):
                    break
                end += len(line)
                self._take(line)
        return end

    def _take(self, line: bytes) -> None:
        try:
            entry = json.loads(line)
            if entry["context"] == self._context:
                told = entry.get("failure") or FoldResult.from_json(entry["result"])
                if isinstance(told, FoldResult) or not told.startswith(PASSING):
                    self._results[entry["fit"]] = told
        except (ValueError, KeyError, TypeError, AttributeError):
            return  # a line that nobody can read: its fit is run again
