"""What a difference between MLflow and Optuna is, and the means to mend it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from search.ledger import FoundRun, RunRecord
from search.run_ids import RunIds
from search.tracking import Tracker


class Shelf(Protocol):
    """The runs in MLflow, see `search.mlflow_store.runs.MlflowRuns`."""

    def files(self, run_id: str) -> dict[str, int]:
        """Size of each artifact."""

    def steps(self, run_id: str, metric: str) -> set[int]:
        """Where a metric has a value."""

    def delete(self, run_id: str) -> None:
        """Put into the bin."""

    def restore(self, run_id: str) -> None:
        """Take out of the bin."""

    def nest(self, run_id: str, parent: str) -> None:
        """Put below another."""


@dataclass(frozen=True)
class Tools:
    """What mending needs.

    Attributes:
        tracker: The way to MLflow.
        shelf: What is there.
        run_ids: Where the run of each key is noted.
        file: Brings an artifact of a trial's run back to its place on disk; raises LookupError, saying why,
            where that is impossible.
    """

    tracker: Tracker
    shelf: Shelf
    run_ids: RunIds
    file: Callable[[Path], Path]


@dataclass(frozen=True)
class Difference:
    """Something in which MLflow and Optuna differ.

    Attributes:
        problem: What kind of difference.
        subject: Where.
        action: What mends it, as a past participle: "ended as FAILED".
        mend: Mends it; raises LookupError, saying why, where that is impossible.
    """

    problem: str
    subject: str
    action: str
    mend: Callable[[Tools], None]


def publish(key: str, record: RunRecord, tools: Tools) -> None:
    """Log a run as it was logged first, or should have been."""
    tracker = tools.tracker
    tracker.start_run(key, record.name, record.tags, record.params, record.parent, record.started)
    _log_points(key, record.points, tracker)
    for name, text in record.texts.items():
        tracker.log_text(key, text, name)
    tracker.end_run(key, record.status, record.ended)
    for path in record.files.values():
        with suppress(LookupError):  # the run is there then, and lacks an artifact
            tracker.log_artifact(key, tools.file(path))


def _log_points(key: str, points: Mapping[str, Mapping[int, float]], tracker: Tracker) -> None:
    by_step: dict[int, dict[str, float]] = defaultdict(dict)
    for name, curve in points.items():
        for step, value in curve.items():
            by_step[step][name] = value
    if by_step:
        first, last = min(by_step), max(by_step)
        tracker.log_curves(key, [by_step.get(step, {}) for step in range(first, last + 1)], first)


def complete(key: str, run: FoundRun, points: Mapping[str, Mapping[int, float]], tools: Tools) -> None:
    """Log what is missing of each curve; where its last value is another, that one again."""
    missing = {}
    for name, curve in points.items():
        there = tools.shelf.steps(run.run_id, name) if name in run.metrics else set()
        last = max(curve)
        missing[name] = {step: value for step, value in curve.items() if step not in there or step == last}
    _log_points(key, missing, tools.tracker)


def put_back(key: str, name: str, record: RunRecord, tools: Tools) -> None:
    """Log one artifact again."""
    if name in record.texts:
        tools.tracker.log_text(key, record.texts[name], name)
    else:
        tools.tracker.log_artifact(key, tools.file(record.files[name]))
