"""A finite search space trained for real, once: every fold of every configuration, and its true AUC.

The table lies in one file of JSON lines, which an interrupted run continues; it goes stale with the cohorts
and `SETTINGS`, not with the code that trains.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from data_prep.fold_input import fit_input
from data_prep.phantom import PhantomSpec, write_phantom
from models.device import child_environment
from search.claims import trial_seed
from search.home import Home
from search.material import Material, prepare
from search.metrics import count_pairs, pooled_metrics
from search.records import FoldResult, TrialConfig
from search.study_file import Study

if TYPE_CHECKING:
    from models.training import Fitted

COHORT = PhantomSpec(participants=45, biopsies=150, signal="easy", size=48, missing=0.0, seed=1000)
FRESH = replace(COHORT, participants=240, biopsies=800, seed=2000)
SPACE: dict[str, list[Any]] = {
    "architecture": ["small_cnn"],
    "patch_radius": [2, 4, 6],
    "optimizer": ["adam", "sgd"],
    "learning_rate": [1e-5, 1e-4, 1e-3, 1e-2, 1e-1],
    "batch_size": [9, 45],
}
SETTINGS: dict[str, Any] = {
    "name": "search",
    "label": {"rule": "above:1.03"},
    "input": {"missing": "zero", "augmentation": []},
    "training": {"epochs": 15, "patience": 5},
    "space": SPACE,
}
STUDY = Study.model_validate(SETTINGS)


@dataclass(frozen=True)
class Row:
    """One configuration: its folds, and the mean AUC of their networks on a large fresh cohort."""

    settings: Mapping[str, Any]
    folds: tuple[FoldResult, ...]
    true_auc: float

    @cached_property
    def running(self) -> tuple[float, ...]:
        """The study's metric over the first folds, one to all of them: what a slot reports."""
        scores = [fold.scores for fold in self.folds]
        metrics = [pooled_metrics(scores[:n])[STUDY.search.metric] for n in range(1, len(scores) + 1)]
        return tuple(0.5 if metric is None else metric for metric in metrics)

    @property
    def value(self) -> float:
        """The metric over all folds."""
        return self.running[-1]


def load_table(path: Path) -> list[Row]:
    """The table; what of it is missing is trained first, in a process of its own as a slot's child is one."""
    key = hashlib.sha256(json.dumps([asdict(COHORT), asdict(FRESH), SETTINGS]).encode()).hexdigest()
    if not path.exists() or json.loads(path.read_text().splitlines()[0]) != key:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(key) + "\n")
    if len(_read(path)) < len(grid()):
        command = [sys.executable, __file__, str(path)]
        subprocess.run(command, env={**os.environ, **child_environment(1, None)}, check=True)
    return _read(path)


def grid() -> list[dict[str, Any]]:
    """Every configuration, those of one compiled network beside each other."""
    combinations: list[dict[str, Any]] = [{}]
    for name, values in SPACE.items():
        combinations = [{**settings, name: value} for settings in combinations for value in values]
    return [STUDY.parameters.settings(settings) for settings in combinations]


def _read(path: Path) -> list[Row]:
    # A line is whole once its end is written.
    lines = map(json.loads, path.read_text().rpartition("\n")[0].splitlines()[1:])
    return [Row(f["settings"], tuple(map(FoldResult.from_json, f["folds"])), f["true_auc"]) for f in lines]


def train(folder: Path, path: Path) -> None:
    """Train the configurations that the table lacks; its line is written as each is done."""
    material, fresh = (
        _material(folder / name, spec) for name, spec in (("cohort", COHORT), ("fresh", FRESH))
    )
    wanted, keeper = grid(), _Keeper(material, fresh)
    for number in range(len(_read(path)), len(wanted)):
        row = keeper.row(wanted[number], trial_seed(0, number))
        with path.open("a") as file:
            file.write(json.dumps(asdict(row)) + "\n")
        print(f"table: {number + 1} of {len(wanted)}", end="\r", file=sys.stderr, flush=True)


def _material(folder: Path, spec: PhantomSpec) -> Material:
    print(f"table: a phantom of {spec.participants} participants", file=sys.stderr)
    write_phantom(folder, spec)
    study = STUDY.model_copy(update={"cohort": str(folder)})
    return prepare(study, Home.at(folder / "home"), frozen=False)


class _Keeper:
    """Runs folds through the product's own code and asks each network about the fresh cohort."""

    def __init__(self, material: Material, fresh: Material) -> None:
        from models.runtime import configure
        from models.training import Trainer

        class Keeping(Trainer):
            """Keeps the network of the last fit at hand."""

            last: Fitted

            def fit(self, *args: Any, **options: Any) -> Fitted:
                self.last = super().fit(*args, **options)
                return self.last

        configure()
        self._material, self._fresh, self._trainer = material, fresh, Keeping()
        self._compiled: object = None

    def row(self, settings: dict[str, Any], seed: int) -> Row:
        """Train one configuration; compiling is done beforehand, as a child that stays warm has done."""
        structure = [settings[name] for name in ("architecture", "patch_radius", "optimizer")]
        if structure != self._compiled:
            self._fold(settings, seed, 0)
            self._compiled = structure
        folds, aucs = zip(*(self._fold(settings, seed, split) for split in range(5)), strict=True)
        return Row(settings, folds, float(np.mean(aucs)))

    def _fold(self, settings: dict[str, Any], seed: int, split: int) -> tuple[FoldResult, float]:
        from search.fold import Task, run_fold
        from search.network import train_network

        task = Task.of(self._material, STUDY, TrialConfig(settings, seed), split)
        fold = run_fold(task, lambda task: train_network(task, self._trainer, lambda message: None))
        mine = self._material
        view = fit_input(mine.patches, task.train, settings["patch_radius"], mine.missing)
        answers = self._trainer.last.predict(view.images(self._fresh.patches))
        pairs = count_pairs(self._fresh.labels.label, answers)
        return fold, float(pairs.auc or 0.0)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        train(Path(scratch), Path(sys.argv[1]))
