"""Studies for tests: fold results made by hand, and one real study that ran once for the whole session."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from search.home import Home
from search.placement import Placement
from search.progress import Listener
from search.records import FoldResult
from search.storage import open_storage
from search.study_file import Study, read_study
from search.supervisor import RunOptions, run_study

STUDY = """
name = "toy"
cohort = "cohort"
[validation]
folds = 3
[input]
augmentation = []
[training]
epochs = 2
[search]
trials = 2
sampler = "random"
pruner = "none"
enqueue = [{ optimizer = "sgd", learning_rate = 0.01, patch_radius = 3, momentum = 0.5 }]
[space]
architecture = ["small_cnn"]
optimizer = ["adam", "sgd"]
learning_rate = { low = 1e-3, high = 1e-1, log = true }
batch_size = [9]
patch_radius = { low = 2, high = 4 }
momentum = { low = 0.0, high = 0.9, when = { optimizer = "sgd" } }
"""


@pytest.fixture(scope="session")
def make_study(make_cohort: Callable[..., Path]) -> Callable[..., Study]:
    """Write the toy cohort and study into a folder; returns the study, with overrides."""

    def write(folder: Path, *overrides: str) -> Study:
        if not (folder / "cohort").exists():
            make_cohort(folder / "cohort")
        (folder / "study.toml").write_text(STUDY)
        return read_study(folder / "study.toml", overrides)

    return write


SHALLOW = """
name = "shallow"
cohort = "cohort"
[validation]
folds = 3
[search]
trials = 6
sampler = "random"
pruner = "none"
[space]
architecture = ["constant", "roi_means"]
patch_radius = { low = 2, high = 4 }
"""


class Finished:
    """A study that ran to its end in `home`."""

    def __init__(self, study: Study, home: Home) -> None:
        self.study, self.home = study, home
        options = RunOptions(source=STUDY, placements=(Placement(1, None),))
        self.outcome = run_study(study, home, options, Listener())


@pytest.fixture(scope="session")
def finished(make_study: Callable[..., Study], tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Two trials of three folds of a small CNN on the toy cohort, through a real child process."""
    folder = tmp_path_factory.mktemp("finished")
    return Finished(make_study(folder), Home.at(folder / "home"))


@pytest.fixture(scope="session")
def shallow(make_cohort: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished study of baselines: `cohort`, `study.toml`, and `home`, to be copied first."""
    folder = tmp_path_factory.mktemp("shallow")
    make_cohort(folder / "cohort")
    (folder / "study.toml").write_text(SHALLOW)
    Finished(read_study(folder / "study.toml"), Home.at(folder / "home"))
    return folder


@pytest.fixture(scope="session")
def make_fold() -> Callable[..., FoldResult]:
    """A fold result whose held-out biopsies are 8 participants with 2 each, scored with a given error."""

    def make(split: int = 0, error: float = 0.2, **changes: Any) -> FoldResult:
        labels = np.tile([0, 1], 8)
        spread = np.linspace(0.0, 0.05, 16)
        probabilities = np.where(labels == 1, 1 - error - spread, error + spread)
        fields: dict[str, Any] = {
            "split": split,
            "repeat": 0,
            "fold": split,
            "rows": tuple(range(16 * split, 16 * split + 16)),
            "participants": tuple(int(8 * split + i // 2) for i in range(16)),
            "labels": tuple(map(int, labels)),
            "probabilities": tuple(map(float, probabilities)),
            "threshold": 0.5,
            "label_threshold": 1.03,
            "curves": {"loss": [0.7, 0.6], "stop_roc_auc": [None, 0.5]},
            "best_epoch": 2,
            "seconds": 1.5,
            "parameters": 1000,
            "trainable_parameters": 900,
            "device": "CPU",
            "memory_mb": 500.0,
        }
        return FoldResult(**(fields | changes))

    return make


@pytest.fixture
def empty_study(tmp_path: Path) -> optuna.Study:
    """A study of its own in a journal."""
    storage = open_storage(None, Home.at(tmp_path / "home"))
    return optuna.create_study(study_name="s", storage=storage, direction="maximize")


@pytest.fixture
def mounted() -> Iterator[Callable[[Path, str], None]]:
    """Mounts a memory disk at a folder with options such as "size=1m", or mounts it again ("remount,ro")."""
    folders: list[Path] = []

    def mount(folder: Path, options: str) -> None:
        command = ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)]
        if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
            pytest.skip("a disk of a size of its own needs root and the right to mount")
        if folder not in folders:
            folders.append(folder)

    yield mount
    for folder in folders:
        command = ["umount", "-l", str(folder)]
        subprocess.run(command, check=True)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may look into, as pytest's own are not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def as_nobody() -> Callable[[Callable[[], str]], str]:
    """Calls a function as the user "nobody", in a process of its own; returns what it returned."""

    def call(function: Callable[[], str]) -> str:
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            text = "it died"
            try:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
                text = function()
            except BaseException as error:
                text = f"{type(error).__name__}: {error}"
            finally:
                os.write(writing, text.encode())
                os._exit(0)
        os.close(writing)
        with os.fdopen(reading, encoding="utf-8") as stream:
            text = stream.read()
        os.waitpid(pid, 0)
        return text

    return call
