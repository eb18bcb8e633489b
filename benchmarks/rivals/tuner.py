"""Side `keras_tuner`: a `Tuner` whose `run_trial` goes through the folds, as its documentation suggests."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import keras
import keras_tuner as kt
import numpy as np
from keras_tuner.engine.trial import Trial
from sklearn.metrics import roc_auc_score

from rivals.keras_networks import compiled
from rivals.task import Data, Task, report


class Enqueued(kt.Oracle):
    """Hands out the given learning rates in turn."""

    def __init__(self, rates: tuple[float, ...], **options: Any) -> None:
        super().__init__(max_trials=len(rates), **options)
        self._rates = list(rates)

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """The values of the next trial."""
        if not self._rates:
            return {"status": "STOPPED"}
        return {"status": "RUNNING", "values": {"learning_rate": self._rates.pop(0)}}


class CrossValidation(kt.Tuner):
    """A tuner whose trials are cross-validated."""

    def run_trial(self, trial: Trial, task: Task, data: Data, folder: Path) -> dict[str, float]:
        """Train every fold; the objective is the mean AUC."""
        losses, aucs = [], []
        for fold in range(task.folds):
            train, held_out = data.split(fold)
            keras.backend.clear_session()
            keras.utils.set_random_seed(fold)
            model = self.hypermodel.build(trial.hyperparameters)
            history = model.fit(
                data.x[train], data.y[train], batch_size=task.batch_size, epochs=task.epochs, verbose=0
            )
            probability = model.predict(data.x[held_out], verbose=0)[:, 0]
            losses.append(history.history["loss"][-1])
            aucs.append(roc_auc_score(data.y[held_out], probability))
        report(folder, losses, aucs)
        return {"auc": float(np.mean(aucs))}


def search(task: Task, folder: Path) -> None:
    """Run the trials, or this process' share where KerasTuner's environment names a chief."""
    data = Data.read(task.data)

    def build(hp: kt.HyperParameters) -> keras.Model:
        rate = hp.Float("learning_rate", 1e-5, 1e-1, sampling="log")
        return compiled(task.architecture, data.x.shape[1:], task.optimizer, rate, task.momentum)

    oracle = Enqueued(task.learning_rates, objective=kt.Objective("auc", "max"))
    tuner = CrossValidation(oracle=oracle, hypermodel=build, directory=folder, project_name="trials")
    tuner.oracle.verbose = 0
    tuner.search(task, data, folder)


if __name__ == "__main__":
    search(Task.read(Path(sys.argv[1])), Path(sys.argv[2]))
