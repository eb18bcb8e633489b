"""Where the embedded mode keeps its files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

DEFAULT_HOME = "radsearch-home"


@dataclass(frozen=True)
class StudyFolder:
    """The files of one study: its definition as run, its frozen folds, its spool, logs and pictures."""

    root: Path

    @property
    def definition(self) -> Path:
        """The study as resolved from its file and the command line, as JSON."""
        return self.root / "study.json"

    @property
    def folds(self) -> Path:
        """The frozen fold table."""
        return self.root / "folds.tsv"

    @property
    def spool(self) -> Path:
        """Tracking events on their way to MLflow."""
        return self.root / "spool"

    @property
    def logs(self) -> Path:
        """One log a slot, with what TensorFlow prints."""
        return self.root / "logs"

    def trial(self, key: int) -> Path:
        """The folder of one trial's pictures and tables."""
        return self.root / "trials" / f"{key:05d}"


@dataclass(frozen=True)
class Home:
    """The folder that holds everything the embedded mode writes; `root` is absolute."""

    root: Path

    @classmethod
    def at(cls, folder: str | Path | None = None) -> Home:
        """The home at `folder`, else at RADSEARCH_HOME, else ./radsearch-home."""
        chosen = folder or os.environ.get("RADSEARCH_HOME") or DEFAULT_HOME
        return cls(Path(chosen).expanduser().absolute())

    @property
    def journal(self) -> Path:
        """Optuna's journal: the trials of every study."""
        return self.root / "optuna.journal"

    @property
    def tracking_uri(self) -> str:
        """MLflow's own database."""
        return f"sqlite:///{self.root / 'mlflow.db'}"

    @property
    def tracking_artifacts(self) -> Path:
        """MLflow's artifacts."""
        return self.root / "mlartifacts"

    @property
    def artifacts(self) -> Path:
        """The pictures that optuna-dashboard shows."""
        return self.root / "artifacts"

    @property
    def cache(self) -> Path:
        """Extracted patches, by content."""
        return self.root / "cache"

    @property
    def logs(self) -> Path:
        """Logs of the servers that `radsearch ui` starts."""
        return self.root / "logs"

    def study(self, name: str) -> StudyFolder:
        """The folder of one study."""
        return StudyFolder(self.root / "studies" / name)
