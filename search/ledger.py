"""What the runs of a study should be, and what they are: records to be compared.

A `Ledger` takes what is logged as a `Tracker` does and keeps it; nothing is sent anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from search.log_values import curve_points, param_texts, tag_texts


class RunLog(Protocol):
    """Where a study is logged to, see `search.tracking.Tracker`."""

    def start_run(
        self,
        key: str,
        name: str,
        tags: Mapping[str, object],
        params: Mapping[str, object],
        parent: str | None = None,
        *,
        is_new: bool = False,
    ) -> None:
        """Open the run of `key`."""

    def log_metrics(self, key: str, metrics: Mapping[str, float | None], step: int = 0) -> None:
        """Add one value of each metric."""

    def log_curves(self, key: str, epochs: Sequence[Mapping[str, float | None]], first: int = 1) -> None:
        """Add several steps in a row."""

    def log_artifact(self, key: str, path: Path, folder: str = "") -> None:
        """Add a file."""

    def log_text(self, key: str, text: str, name: str) -> None:
        """Add a text as a file."""

    def set_tags(self, key: str, tags: Mapping[str, object]) -> None:
        """Set tags."""

    def end_run(self, key: str, status: str, ended: datetime | None = None, if_any: bool = False) -> None:
        """End the run of `key`."""


@dataclass(frozen=True)
class FoundRun:
    """A run of a study, as MLflow has it.

    Attributes:
        run_id: Its id.
        key: Its key, see `search.tracking.Tracker`.
        status: RUNNING, FINISHED, KILLED, FAILED or SCHEDULED.
        deleted: Whether it is in MLflow's bin, from which it can be restored.
        started: When it started, in milliseconds since 1970.
        parent: The id of the run that it is nested in.
        tags: All tags.
        params: All parameters.
        metrics: The last value of each metric.
    """

    run_id: str
    key: str
    status: str
    deleted: bool
    started: int
    parent: str | None
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: Mapping[str, float]


@dataclass
class RunRecord:
    """A run as it was logged; see `FoundRun` for its parts.

    Attributes:
        name: What it is called.
        parent: The key of the run that it is nested in.
        points: Each metric's value by step.
        texts: Artifacts by name, that are texts.
        files: Artifacts by name, that are files.
        status: RUNNING until it was ended.
        started: When it started; None where nobody said.
        ended: When it ended.
    """

    name: str
    parent: str | None
    tags: dict[str, str]
    params: dict[str, str]
    points: dict[str, dict[int, float]] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    status: str = "RUNNING"
    started: datetime | None = None
    ended: datetime | None = None


class Ledger:
    """Keeps what is logged.

    Attributes:
        runs: The runs by key, parents first.
        now: When what is logged next happened.
    """

    def __init__(self) -> None:
        self.runs: dict[str, RunRecord] = {}
        self.now: datetime | None = None

    def start_run(
        self,
        key: str,
        name: str,
        tags: Mapping[str, object],
        params: Mapping[str, object],
        parent: str | None = None,
        *,
        is_new: bool = False,
    ) -> None:
        """See `RunLog`."""
        self.runs[key] = RunRecord(name, parent, tag_texts(tags), param_texts(params), started=self.now)

    def log_metrics(self, key: str, metrics: Mapping[str, float | None], step: int = 0) -> None:
        """See `RunLog`."""
        self.log_curves(key, [metrics], step)

    def log_curves(self, key: str, epochs: Sequence[Mapping[str, float | None]], first: int = 1) -> None:
        """See `RunLog`."""
        for step, metrics in curve_points(epochs, first).items():
            for name, value in metrics.items():
                self.runs[key].points.setdefault(name, {})[step] = value

    def log_artifact(self, key: str, path: Path, folder: str = "") -> None:
        """See `RunLog`."""
        self.runs[key].files[f"{folder}/{path.name}" if folder else path.name] = path

    def log_text(self, key: str, text: str, name: str) -> None:
        """See `RunLog`."""
        self.runs[key].texts[name] = text

    def set_tags(self, key: str, tags: Mapping[str, object]) -> None:
        """See `RunLog`."""
        self.runs[key].tags |= tag_texts(tags)

    def end_run(self, key: str, status: str, ended: datetime | None = None, if_any: bool = False) -> None:
        """See `RunLog`."""
        if key in self.runs or not if_any:
            self.runs[key].status, self.runs[key].ended = status, ended or self.now
