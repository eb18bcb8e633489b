"""What every side of the benchmark of trials gets: the same patches, folds and hyperparameters."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Task:
    """Trials to run, alike but for their learning rates.

    Attributes:
        cohort: Folder of the cohort, for the side that reads it.
        data: File of `Data`, for the sides that do not.
        architecture: `resnet50`, `resnet152`, `densenet201` or `small_cnn`.
        optimizer: `adam`, `amsgrad` or `sgd`.
        momentum: Of `sgd`.
        radius: Patches have 2 * radius + 1 pixels along each edge.
        batch_size: Samples a step.
        epochs: Of every fold; nothing stops early.
        folds: Of every trial; nothing is pruned.
        learning_rates: One a trial.
        processes: How many share the trials.
        threads: How many each process computes with.
    """

    cohort: str
    data: str
    architecture: str
    optimizer: str
    momentum: float
    radius: int
    batch_size: int
    epochs: int
    folds: int
    learning_rates: tuple[float, ...]
    processes: int
    threads: int

    def write(self, path: Path) -> None:
        """Keep the task as JSON."""
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> Task:
        """The task that `write` kept."""
        fields = json.loads(path.read_text())
        return cls(**fields | {"learning_rates": tuple(fields["learning_rates"])})


@dataclass(frozen=True)
class Data:
    """Patches x (n, h, w, channels) float32, labels y (n,) float32, and the fold that holds each out (n,)."""

    x: np.ndarray
    y: np.ndarray
    fold: np.ndarray

    @classmethod
    def read(cls, path: str) -> Data:
        """The arrays of a file written with `numpy.savez`."""
        with np.load(path) as arrays:
            return cls(arrays["x"], arrays["y"], arrays["fold"])

    def split(self, fold: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows to train on, and rows held out."""
        return np.flatnonzero(self.fold != fold), np.flatnonzero(self.fold == fold)


def report(folder: Path, losses: list[float], aucs: list[float]) -> None:
    """Keep what a finished trial reached: means over its folds of the last training loss and of the AUC."""
    line = json.dumps({"loss": float(np.mean(losses)), "auc": float(np.nanmean(aucs)), "folds": len(losses)})
    with (folder / "outcomes.jsonl").open("a") as file:
        file.write(line + "\n")
