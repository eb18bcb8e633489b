"""Side `radsearch`: the study file for `radsearch run`, and what it reached, read from its journal."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from rivals.task import Data, Task

NAME = "trials"


def command(task: Task, folder: Path) -> list[str]:
    """The command line, its study file written."""
    study = folder / "study.toml"
    study.write_text(study_file(task))
    program = Path(sys.executable).with_name("radsearch")
    return [str(program), "run", str(study), "--home", str(folder / "home"), "--workers", str(task.processes)]


def study_file(task: Task) -> str:
    """The study that trains exactly the task's folds: nothing augmented, stopped early or pruned."""
    fixed = {"architecture": task.architecture, "optimizer": task.optimizer, "batch_size": task.batch_size}
    fixed |= {"patch_radius": task.radius} | ({"momentum": task.momentum} if task.optimizer == "sgd" else {})
    space = "\n".join(f"{name} = [{json.dumps(value)}]" for name, value in fixed.items())
    enqueued = ", ".join(f"{{ learning_rate = {rate!r} }}" for rate in task.learning_rates)
    return f"""name = "{NAME}"
cohort = {json.dumps(task.cohort)}
input = {{ missing = "zero", augmentation = [] }}
validation = {{ folds = {task.folds}, seed = 0 }}
training = {{ epochs = {task.epochs}, early_stopping = "none" }}

[search]
trials = {len(task.learning_rates)}
pruner = "none"
enqueue = [{enqueued}]

[space]
learning_rate = {{ low = 1e-5, high = 1e-1, log = true }}
{space}
"""


def outcomes(task: Task, folder: Path) -> list[dict[str, float]]:
    """The mean last training loss and mean AUC of every finished trial.

    Exits if its folds are not the ones that the other sides trained.
    """
    import numpy as np
    import optuna
    from optuna.trial import TrialState
    from sklearn.metrics import roc_auc_score

    from data_prep.folds import read_folds
    from search.booking import finished_folds
    from search.home import Home
    from search.storage import open_storage

    home = Home.at(folder / "home")
    if not np.array_equal(read_folds(home.study(NAME).folds).fold[0], Data.read(task.data).fold):
        sys.exit("radsearch ran other folds than the other sides: the comparison would not be one")
    found = []
    study = optuna.load_study(study_name=NAME, storage=open_storage(None, home))
    for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        folds = finished_folds(trial).values()
        losses = [fold.curves["loss"][-1] for fold in folds]
        aucs = [roc_auc_score(fold.labels, fold.probabilities) for fold in folds]
        found.append({"loss": float(np.mean(losses)), "auc": float(np.mean(aucs)), "folds": len(losses)})
    return found
