"""The same enqueued trials by stock Keras, plain PyTorch, KerasTuner and `radsearch run`, side by side.

Every side is started from the command line, in turn, and its whole wall time counts: imports, the study, its
tracking, all folds of all trials. `radsearch run` begins with an empty home and reads the cohort's volumes;
the others get its patches from a file.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from processes import run_watched
from rivals import ours
from rivals.patches import prepared
from rivals.task import Task

from search.placement import cores

HERE = Path(__file__).parent
COMMANDS = {
    "stock": ["rivals.study", "rivals.stock"],
    "torch": ["rivals.study", "rivals.torch_loop"],
    "keras_tuner": ["rivals.chief"],
}
OURS = "radsearch"
SIDES = (*COMMANDS, OURS)
BATCH, MOMENTUM = 9, 0.9

Record = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """What is trained; the first trial has `learning_rate`, each further one half of the last's."""

    architecture: str
    optimizer: str
    epochs: int
    radius: int = 8
    learning_rate: float = 1e-3


CASES = {
    "resnet50-adam-5": Case("resnet50", "adam", 5),
    "resnet50-adam-20": Case("resnet50", "adam", 20),
    "resnet50-amsgrad-5": Case("resnet50", "amsgrad", 5),
    "resnet50-sgd-5": Case("resnet50", "sgd", 5, learning_rate=1e-2),
    "resnet50-sgd-20": Case("resnet50", "sgd", 20, learning_rate=1e-2),
    "resnet152-adam-5": Case("resnet152", "adam", 5),
    "densenet201-adam-5": Case("densenet201", "adam", 5, radius=16),
    "small_cnn-adam-5": Case("small_cnn", "adam", 5),
}
DEFAULT = ("resnet50-adam-5", "small_cnn-adam-5")


def main() -> None:
    options = parse()
    records = read(options.out)
    for name in options.case:
        case = CASES[name]
        case = replace(case, epochs=options.epochs or case.epochs)
        task = make_task(case, options)
        title = f"{name}, {options.trials} trials x {task.folds} folds x {task.epochs} epochs"
        print(f"{title}, {task.processes} x {task.threads} threads", flush=True)
        mine: list[Record] = []
        for run in range(1, options.runs + 1):
            for side in options.sides if run % 2 else reversed(options.sides):
                mine.append(measured(name, side, run, task, records, options.out))
        summarise(mine, options.sides)
    if options.floor:
        floors(
            {(CASES[name].architecture, CASES[name].optimizer, CASES[name].radius) for name in options.case}
        )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--case",
        nargs="+",
        choices=[*CASES, "all"],
        default=DEFAULT,
        metavar="NAME",
        help=f"of {', '.join(CASES)}, or all (default: {' '.join(DEFAULT)})",
    )
    parser.add_argument(
        "--sides",
        nargs="+",
        choices=SIDES,
        default=SIDES,
        metavar="SIDE",
        help=f"of {', '.join(SIDES)} (default: all)",
    )
    parser.add_argument(
        "--trials", type=int, default=2, help="in a study; 1 is a single cold one (default: 2)"
    )
    parser.add_argument("--processes", type=int, default=1, help="that share the trials (default: 1)")
    parser.add_argument("--runs", type=int, default=2, help="of every side (default: 2)")
    parser.add_argument("--folds", type=int, default=5, help="default: 5")
    parser.add_argument("--epochs", type=int, help="instead of the case's own")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="append results as JSON lines; a later call with the same file does not run again what is there",
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=HERE.parent / "cohorts" / "benchmark",
        metavar="DIR",
        help="the phantom, written if it is not there (default: cohorts/benchmark)",
    )
    parser.add_argument("--no-floor", dest="floor", action="store_false", help="skip the floor of a step")
    options = parser.parse_args()
    if "all" in options.case:
        options.case = tuple(CASES)
    if options.trials % options.processes:
        parser.error("--trials: each process needs the same number of trials")
    return options


def make_task(case: Case, options: argparse.Namespace) -> Task:
    return Task(
        cohort=str(options.data.absolute()),
        data=str(prepared(options.data.absolute(), case.radius, options.folds)),
        architecture=case.architecture,
        optimizer=case.optimizer,
        momentum=MOMENTUM if case.optimizer == "sgd" else 0.0,
        radius=case.radius,
        batch_size=BATCH,
        epochs=case.epochs,
        folds=options.folds,
        learning_rates=tuple(case.learning_rate / 2**trial for trial in range(options.trials)),
        processes=options.processes,
        threads=max(1, cores() // options.processes),
    )


def measured(name: str, side: str, run: int, task: Task, records: list[Record], out: Path | None) -> Record:
    """One side's run: from the file of results where it is there, else now."""
    key = {
        "case": name,
        "side": side,
        "run": run,
        "trials": len(task.learning_rates),
        "folds": task.folds,
        "epochs": task.epochs,
        "processes": task.processes,
        "threads": task.threads,
    }
    for record in records:
        if key.items() <= record.items():
            show(record, " (from the file)")
            return record
    record = key | run_once(side, task)
    if out is not None:
        with out.open("a") as file:
            file.write(json.dumps(record) + "\n")
    show(record, "")
    return record


def run_once(side: str, task: Task) -> Record:
    """Run one side in an empty folder and check that it trained every fold of every trial."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        task.write(folder / "task.json")
        if side == OURS:
            command = ours.command(task, folder)
        else:
            command = [sys.executable, "-m", *COMMANDS[side], str(folder / "task.json"), str(folder)]
        cost = run_watched(command, environment(side, task), HERE, folder / "log.txt")
        log = (folder / "log.txt").read_text()
        reached = ours.outcomes(task, folder) if side == OURS else read(folder / "outcomes.jsonl")
    if [trial["folds"] for trial in reached] != [task.folds] * len(task.learning_rates):
        sys.exit(f"{side} did not train every fold of every trial: {reached}\n{log[-3000:]}")
    means = {what: float(np.mean([trial[what] for trial in reached])) for what in ("loss", "auc")}
    return {"seconds": cost.seconds, "peak_mb": cost.peak_mb, **means}


def environment(side: str, task: Task) -> dict[str, str]:
    """Threads for processes that share the machine; one process alone takes its framework's default."""
    plain = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "TF_CPP_MIN_LOG_LEVEL": "2"}
    if side == OURS or task.processes == 1:
        return plain
    names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")
    return plain | dict.fromkeys(names, str(task.threads))


def read(path: Path | None) -> list[Record]:
    """The records of a file of JSON lines."""
    if path is None or not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines()]


def show(record: Record, remark: str) -> None:
    print(
        f"  run {record['run']} {record['side']:<12}"
        f"{record['seconds']:8.1f} s {record['peak_mb']:7.0f} MiB   "
        f"last loss {record['loss']:.3f}, AUC {record['auc']:.3f}{remark}",
        flush=True,
    )


def summarise(records: list[Record], sides: tuple[str, ...]) -> None:
    """Medians of every side, and its ratios to ours, run by run."""
    for side in sides:
        mine = [record for record in records if record["side"] == side]
        figures = ", ".join(
            f"{statistics.median(record[what] for record in mine):.{digits}f} {unit}"
            for what, digits, unit in (("seconds", 1, "s"), ("peak_mb", 0, "MiB"))
        )
        against = "".join(f"; {what} {ratio}" for what, ratio in ratios(mine, records) if side != OURS)
        print(f"  {side:<12} {figures}{against}")


def ratios(mine: list[Record], records: list[Record]) -> Iterator[tuple[str, str]]:
    """Side / ours of the same run: median (least to largest)."""
    run = {record["run"]: record for record in records if record["side"] == OURS}
    for what, label in (("seconds", "time side/ours"), ("peak_mb", "memory side/ours")):
        pairs = sorted(record[what] / run[record["run"]][what] for record in mine if record["run"] in run)
        if pairs:
            yield label, f"{statistics.median(pairs):.2f} ({pairs[0]:.2f} to {pairs[-1]:.2f})"


def floors(kinds: set[tuple[str, str, int]]) -> None:
    """The floor of each kind of step, each in a process of its own."""
    for architecture, optimizer, radius in sorted(kinds):
        call = [sys.executable, str(HERE / "floor.py"), architecture, optimizer, "--radius", str(radius)]
        subprocess.run(call, check=True)


if __name__ == "__main__":
    main()
