"""Runs made by hand, and a shelf and a tracker that note what is done to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from search.doctor.mending import Tools
from search.ledger import FoundRun, RunRecord
from search.run_ids import RunIds

COMPLETE = {"level": "trial", "study": "toy", "trial": "3", "ending": "complete", "owner": "node7"}


def record(**changes: Any) -> RunRecord:
    """What trial 3 should be."""
    fields: dict[str, Any] = {
        "name": "trial 3",
        "parent": "study",
        "tags": dict(COMPLETE),
        "params": {"rate": "0.1", "architecture": "constant"},
        "points": {"roc_auc": {0: 0.7}, "loss": {1: 0.5, 2: 0.25}},
        "texts": {"out_of_fold.tsv": "a\tb\n"},
        "files": {"roc.png": Path("/home/roc.png")},
        "status": "FINISHED",
    }
    return RunRecord(**(fields | changes))


def found(key: str = "trial/3", run_id: str = "r3", **changes: Any) -> FoundRun:
    """The run that MLflow has of it."""
    fields: dict[str, Any] = {
        "run_id": run_id,
        "key": key,
        "status": "FINISHED",
        "deleted": False,
        "started": 0,
        "parent": "r-study",
        "tags": COMPLETE | {"owner": "node8"},
        "params": {"rate": "0.1", "architecture": "constant"},
        "metrics": {"roc_auc": 0.7, "loss": 0.25},
    }
    return FoundRun(**(fields | changes))


STUDY_RUN = found("study", "r-study", parent=None, tags={"level": "study"})


@dataclass
class Recorder:
    """Both tracker and shelf; `calls` are what was asked of them."""

    held: dict[str, int] = field(default_factory=lambda: {"out_of_fold.tsv": 4, "roc.png": 9})
    at: set[int] = field(default_factory=set)
    calls: list[tuple[Any, ...]] = field(default_factory=list)

    def files(self, run_id: str) -> dict[str, int]:
        return self.held

    def steps(self, run_id: str, metric: str) -> set[int]:
        return self.at

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args, **_: self.calls.append((name, *args))


def tools(folder: Path, recorder: Recorder, file: Callable[[Path], Path] = lambda path: path) -> Tools:
    both: Any = recorder
    return Tools(both, both, RunIds(folder, "sqlite:////a", "toy"), file)
