"""What a launcher is asked for: workers that are all alike, and where they find what is secret."""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from data_prep.files import whole_file
from search.placement import cores

ENV_FILE = "submit.env"
UNITS = {"K": 1 / 1024, "": 1, "M": 1, "G": 1024, "T": 1024**2}  # in MiB, as SLURM counts


@dataclass(frozen=True)
class Batch:
    """What a batch system wants to know besides.

    Attributes:
        time: Of a worker, as the batch system writes it.
        partition: Where to run; None for the default.
        account: Who pays; None for the default.
        tasks: Workers in all, one after another.
        notice: Seconds before the end of its time at which a worker hears of it.
        setup: Lines of shell that run before the worker.
        options: Further options of the batch system, each with its dashes.
    """

    time: str
    partition: str | None
    account: str | None
    tasks: int
    notice: int
    setup: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class LaunchRequest:
    """Workers to be started. The study is open, its folds are frozen, and `env_file` is written.

    Attributes:
        study: The study's name.
        trials: How many trials it is asked for in all.
        folder: The study's folder in the home; logs go to its `logs`.
        worker: What follows `radsearch` on a worker's command line. It holds no secret, neither home nor
            storage nor tracking URI: those are in `environment`.
        environment: What a worker needs in its environment besides, passwords among it: RADSEARCH_HOME,
            RADSEARCH_STORAGE, RADSEARCH_TRACKING_URI and what libpq and MLflow go by.
        at_once: How many workers at a time.
        gpus: GPUs a worker, 1 or 0.
        cpus: Cores a worker.
        memory_mb: Memory a worker, in MiB.
        address: Of a Ray cluster; None for one of this machine alone.
        batch: What SLURM wants to know.
    """

    study: str
    trials: int
    folder: Path
    worker: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    at_once: int
    gpus: int
    cpus: int
    memory_mb: int
    address: str | None
    batch: Batch

    @property
    def env_file(self) -> Path:
        """Holds `environment` as lines of shell, for its owner's eyes alone."""
        return self.folder / ENV_FILE

    @property
    def logs(self) -> Path:
        """Where workers say what they do."""
        return self.folder / "logs"

    @property
    def command(self) -> list[str]:
        """Starts a worker of this very installation; `-P` keeps a user's modules out."""
        return [sys.executable, "-P", "-m", "search.cli", *self.worker]


def share_of(request: LaunchRequest) -> int:
    """How many cores of this machine each worker gets where all run here: no more than asked for."""
    return max(1, min(request.cpus, cores() // request.at_once))


def write_privately(path: Path, text: str) -> None:
    """Write a file, whole, that nobody but its owner may read."""
    with whole_file(path) as file:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)


def mebibytes(size: str) -> int | None:
    """A size of memory in MiB, rounded up; None where it is none.

    >>> mebibytes("16G"), mebibytes("500"), mebibytes("lots")
    (16384, 500, None)
    """
    match = re.fullmatch(r"([1-9][0-9]*)([KMGT]?)B?", size.upper())
    return None if match is None else math.ceil(int(match[1]) * UNITS[match[2]])
