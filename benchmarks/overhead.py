"""What a trial costs beyond its training: a real study whose folds train nothing, beside plain Optuna.

Everything but the fit is the real thing: owner, child process, socket, booking in the journal, pictures,
dashboard notes, and MLflow's delivery, for which each trial here waits, so that no cost is put off.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sides import Measured, run_side

BLOCKS, NAIVE_TRIALS, EPOCHS, RADIUS = 10, 100, 10, 8
SPACE = """
name = "overhead"
cohort = "cohort"
[search]
trials = 500
pruner = "none"
[training]
epochs = 10
[space]
architecture = ["resnet50", "resnet152", "small_cnn"]
optimizer = ["adam", "amsgrad", "sgd"]
learning_rate = { low = 1e-5, high = 1e-1, log = true }
batch_size = [1, 3, 9, 18, 45, 90]
patch_radius = { low = 2, high = 8 }
momentum = { low = 0.0, high = 0.99, when = { optimizer = "sgd" } }
"""


def empty_fold(material: Any, seed: int, split: int) -> dict[str, Any]:
    """A fold result of the usual size, without the training: random scores for its held-out biopsies."""
    table = material.folds.splits()[split]
    random = np.random.default_rng([seed, split])
    curve = random.uniform(0.4, 0.7, EPOCHS).tolist()
    return {
        "split": split,
        "repeat": table.repeat,
        "fold": table.fold,
        "rows": table.test.tolist(),
        "participants": material.participant[table.test].tolist(),
        "labels": material.labels.label[table.test].tolist(),
        "probabilities": random.uniform(size=len(table.test)).tolist(),
        "threshold": 0.5,
        "label_threshold": float(material.labels.threshold),
        "curves": {"loss": curve, "stop_loss": curve, "stop_roc_auc": curve},
        "best_epoch": EPOCHS,
        "seconds": 0.0,
        "parameters": 24_164_097,
        "trainable_parameters": 24_110_977,
        "device": "none",
        "memory_mb": 1000.0,
        "dead_parameters": 6_291_456,
    }


def child(descriptor: int) -> None:
    """Stands in for `search.child`: prepares the same data and speaks the same protocol, but fits nothing."""
    from search.channel import Channel, ChannelClosedError
    from search.home import Home
    from search.material import prepare
    from search.study_file import Study

    channel = Channel(socket.socket(fileno=descriptor))
    setup = channel.receive() or {}
    material = prepare(Study.from_json(setup["study"]), Home(Path(setup["home"])), frozen=True)
    try:
        while (request := channel.receive()) is not None:
            for epoch in range(1, EPOCHS + 1):
                channel.send({"kind": "epoch", "split": request["split"], "epoch": epoch, "loss": 0.5})
            result = empty_fold(material, request["seed"], request["split"])
            channel.send({"kind": "fold", "result": json.dumps(result)})
    except ChannelClosedError:
        return


def radsearch(folder: Path, trials: int) -> None:
    """The study manager, each trial's delivery to MLflow waited for."""
    from search import child_process, supervisor
    from search.home import Home
    from search.placement import place
    from search.progress import Listener
    from search.study_file import read_study
    from search.tracking import Tracker

    trackers: list[Tracker] = []

    class Noted(Tracker):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            trackers.append(self)

    class Clock(Listener):
        def trial_started(self, *_: Any) -> None:
            if not ends:
                note()  # the child is not up yet: the first trial pays for that

        def trial_ended(self, *_: Any) -> None:
            told = time.perf_counter()
            trackers[0].flush(600)
            note()
            waits.append(ends[-1] - told)

    ends, work, waits = list[float](), list[float](), list[float]()

    def note() -> None:
        ends.append(time.perf_counter())
        work.append(time.process_time())

    supervisor.Tracker = Noted  # type: ignore[misc]
    script = os.path.abspath(__file__)  # noqa: PTH100
    child_process.child_command = lambda descriptor: [sys.executable, script, "child", str(descriptor)]
    study = read_study(folder / "study.toml", [f"search.trials={trials}"])
    options = supervisor.RunOptions(placements=place(1, ""))
    supervisor.run_study(study, Home.at(folder / "home"), options, Clock())
    say(ends, work, {"waiting": float(np.mean(waits))})


def objective_of(folder: Path) -> tuple[Any, Callable[[Any], Any]]:
    from search.study_file import read_study
    from search.suggest import sample

    study = read_study(folder / "study.toml")
    return study, lambda trial: sample(trial, study.parameters)


def plain_study(folder: Path, name: str) -> Any:
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = JournalStorage(JournalFileBackend(str(folder / f"{name}.journal")))
    sampler = optuna.samplers.TPESampler(seed=0, multivariate=True, constant_liar=True)
    return optuna.create_study(storage=storage, sampler=sampler, pruner=optuna.pruners.NopPruner())


def optimize(study: Any, objective: Callable[[Any], float], trials: int) -> None:
    ends, work = [time.perf_counter()], [time.process_time()]

    def note(*_: Any) -> None:
        ends.append(time.perf_counter())
        work.append(time.process_time())

    study.optimize(objective, trials, callbacks=[note])
    say(ends, work, {})


def plain(folder: Path, trials: int) -> None:
    """Optuna alone: the same space, sampler and kind of storage, an objective that does nothing."""
    _, suggest = objective_of(folder)
    random = np.random.default_rng(0)

    def objective(trial: Any) -> float:
        suggest(trial)
        return float(random.uniform())

    optimize(plain_study(folder, "plain"), objective, trials)


def naive(folder: Path, trials: int) -> None:
    """Optuna and MLflow as a user joins them: a run a trial, metrics logged once an epoch, no picture."""
    import mlflow

    _, suggest = objective_of(folder)
    random = np.random.default_rng(0)
    mlflow.set_tracking_uri(f"sqlite:///{folder}/naive.db")
    mlflow.create_experiment("naive", (folder / "naive").as_uri())
    mlflow.set_experiment("naive")

    def objective(trial: Any) -> float:
        with mlflow.start_run():
            mlflow.log_params(suggest(trial))
            for fold in range(5):
                for epoch in range(1, EPOCHS + 1):
                    seen = {f"fold{fold}.{name}": 0.5 for name in ("loss", "stop_loss", "stop_roc_auc")}
                    mlflow.log_metrics(seen, step=epoch)
                mlflow.log_metrics({f"fold{fold}.{name}": 0.5 for name in "abcdefghij"})
            value = float(random.uniform())
            mlflow.log_metrics(dict.fromkeys("abcdefghij", value))
        return value

    optimize(plain_study(folder, "naive"), objective, trials)


def say(ends: list[float], work: list[float], more: Measured) -> None:
    """Print mean seconds and CPU seconds a trial in each block of the run as the last line of stdout."""
    measured = dict(more)
    for unit, times in (("s", ends), ("CPU s", work)):
        took = np.diff(times)
        for part in np.array_split(np.arange(len(took)), min(BLOCKS, len(took))):
            measured[f"{unit} {part[0] + 1}-{part[-1] + 1}"] = float(took[part].mean())
    print(json.dumps(measured))


def show(side: str, measured: Measured) -> None:
    """Both figures by block, and how the last block compares with the first and with the one after it."""
    waiting = measured.pop("waiting", None)
    print(f"{side}: a trial costs")
    for unit in ("s", "CPU s"):
        blocks = {
            name.removeprefix(f"{unit} "): v for name, v in measured.items() if name.startswith(f"{unit} ")
        }
        values = list(blocks.values())
        print(f"  {unit}: " + ", ".join(f"{block}: {value:.3f}" for block, value in blocks.items()))
        ratios = f"{values[-1] / values[0]:.2f} of the first, {values[-1] / values[1]:.2f} of the second"
        print(f"    mean {np.mean(values):.3f}; the last block {ratios}")
    if waiting is not None:
        print(f"  of it waiting for MLflow to take the trial, which a real fold would cover: {waiting:.3f} s")


def main() -> None:
    from data_prep.phantom import PhantomSpec, write_phantom

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=500)
    trials = parser.parse_args().trials
    folder = Path(tempfile.mkdtemp())
    try:
        write_phantom(folder / "cohort", PhantomSpec(size=32, missing=0.0))
        (folder / "study.toml").write_text(SPACE)
        print(f"overhead: {trials} trials of 5 folds x {EPOCHS} epochs that train nothing, 150 biopsies")
        for side, count in (("plain", trials), ("naive", min(trials, NAIVE_TRIALS)), ("radsearch", trials)):
            show(side, run_side(__file__, side, str(folder), str(count)))
    finally:
        shutil.rmtree(folder)


SIDES = {"radsearch": radsearch, "plain": plain, "naive": naive}

if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        child(int(sys.argv[2]))
    elif sys.argv[1:2] and sys.argv[1] in SIDES:
        SIDES[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))
    else:
        main()
