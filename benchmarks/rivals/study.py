"""The loop a competent user writes around Optuna and MLflow; stock Keras and PyTorch share it."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rivals.task import Data, Task, report


def main() -> None:
    """`python -m rivals.study MODULE TASK FOLDER`: run the task's trials; with --worker, a process' share.

    The module's `train_fold` trains one fold and returns the last epoch's mean loss, and the probabilities of
    the rows held out.
    """
    module, folder = sys.argv[1], Path(sys.argv[3])
    task = Task.read(Path(sys.argv[2]))
    if "--worker" not in sys.argv:
        _create(task, folder)
    if "--worker" in sys.argv or task.processes == 1:
        _work(task, folder, importlib.import_module(module).train_fold)
    else:
        command = [sys.executable, "-m", "rivals.study", *sys.argv[1:4], "--worker"]
        finish([subprocess.Popen(command) for _ in range(task.processes)])


def finish(workers: list[subprocess.Popen[bytes]]) -> None:
    """Wait for all workers; exits if one failed."""
    codes = [worker.wait() for worker in workers]
    if any(codes):
        sys.exit("a worker failed")


def _storage(folder: Path) -> object:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    return JournalStorage(JournalFileBackend(str(folder / "optuna.journal")))


def _create(task: Task, folder: Path) -> None:
    """The study with its enqueued trials, and the experiment, before any worker looks for them."""
    import mlflow
    import optuna

    study = optuna.create_study(study_name="trials", storage=_storage(folder), direction="maximize")
    for rate in task.learning_rates:
        study.enqueue_trial({"learning_rate": rate})
    mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    mlflow.set_experiment("trials")


def _work(task: Task, folder: Path, train_fold: Callable[..., tuple[float, Any]]) -> None:
    import mlflow
    import numpy as np
    import optuna
    from sklearn.metrics import roc_auc_score

    data = Data.read(task.data)
    mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    mlflow.set_experiment("trials")

    def objective(trial: optuna.Trial) -> float:
        rate = trial.suggest_float("learning_rate", 1e-5, 1e-1, log=True)
        losses, aucs = [], []
        with mlflow.start_run(run_name=f"trial {trial.number}"):
            mlflow.log_params(
                trial.params
                | {"architecture": task.architecture, "optimizer": task.optimizer, "batch": task.batch_size}
            )
            for fold in range(task.folds):
                loss, probability = train_fold(task, rate, data, fold)
                losses.append(loss)
                aucs.append(roc_auc_score(data.y[data.split(fold)[1]], probability))
                mlflow.log_metric("loss", loss, step=fold)
                mlflow.log_metric("auc", aucs[-1], step=fold)
            mlflow.log_metric("mean_auc", float(np.mean(aucs)))
        report(folder, losses, aucs)
        return float(np.mean(aucs))

    study = optuna.load_study(study_name="trials", storage=_storage(folder))
    study.optimize(objective, n_trials=len(task.learning_rates) // task.processes)


if __name__ == "__main__":
    main()
