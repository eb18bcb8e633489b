"""What a trial costs its owner in a study that already has many: a real run whose folds train nothing.

Everything but the fit is the real thing, as in `overhead.py`, whose stand-in for the child this uses; earlier
trials, with their folds, notes and MLflow runs, are written at once.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.samplers import TPESampler

from benchmarks.scale_study import fill, settings
from search import child_process, slot
from search.home import Home
from search.placement import place
from search.progress import Listener
from search.storage import open_storage
from search.supervisor import RunOptions, run_study

CHILD = Path(__file__).with_name("overhead.py")
WARM, RUNS_A_TRIAL = 3, 6
TABLES = ("runs", "tags", "params", "metrics", "latest_metrics")
SAMPLING = ("infer_relative_search_space", "sample_relative", "sample_independent")


class Clock(Listener):
    """Notes when trials end, and the CPU seconds of this process and of the slot's thread until then."""

    def __init__(self) -> None:
        self.ends: list[tuple[float, float, float]] = []

    def trial_started(self, *_: object) -> None:
        """Begin when the first trial does: what comes before is the start."""
        if not self.ends:
            self._note()

    def trial_ended(self, number: int, cause: str, value: float | None, message: str) -> None:
        """A trial's end is the next one's beginning."""
        assert cause in ("complete", "pruned"), (number, cause, message)
        self._note()

    def _note(self) -> None:
        self.ends.append((time.perf_counter(), time.process_time(), time.thread_time()))


class Stopwatch:
    """Adds up the CPU seconds of some functions."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def on(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, timed."""

        def timed(*args: Any, **named: Any) -> Any:
            began = time.thread_time()
            try:
                return function(*args, **named)
            finally:
                self.seconds += time.thread_time() - began

        return timed


def prepare(folder: Path, url: str | None, trials: int) -> None:
    """Bring a study to so many trials, with their runs in MLflow.

    Args:
        folder: Of the study file and its home; a study that is there goes on.
        url: Of its storage; None for the journal.
        trials: How many it then has.
    """
    home = Home.at(folder / "home")
    if not (home.root / "studies").exists():
        options = RunOptions(storage=url, placements=place(1, ""))
        run_study(settings(folder, "owner", WARM, "random"), home, options, Listener())
    fill(optuna.load_study(study_name="owner", storage=open_storage(url, home)), trials)
    fill_runs(home.root / "mlflow.db", trials)


def measure(folder: Path, url: str | None, sampler: str, before: int, run: int) -> dict[str, float]:
    """Run some more trials of a prepared study, and say what each of them cost.

    Args:
        folder: Of the study file and its home.
        url: Of its storage; None for the journal.
        sampler: Its name.
        before: How many trials the study has.
        run: How many are run.
    """
    home, options = Home.at(folder / "home"), RunOptions(storage=url, placements=place(1, ""))
    clock, sampling, drawing = Clock(), Stopwatch(), Stopwatch()
    for name in SAMPLING:
        setattr(TPESampler, name, sampling.on(getattr(TPESampler, name)))
    vars(slot)["draw_trial"] = drawing.on(vars(slot)["draw_trial"])
    began, spent = time.perf_counter(), time.process_time()
    run_study(settings(folder, "owner", before + run, sampler), home, options, clock)
    took = np.diff(np.array(clock.ends), axis=0)
    wall, cpu, slot_cpu = np.median(took, axis=0)
    return {
        "trials": before,
        "wall": float(wall),
        "cpu": float(cpu) - sampling.seconds / run,
        "slot_cpu": float(slot_cpu) - sampling.seconds / run,
        "sampling": sampling.seconds / run,
        "drawing": drawing.seconds / run,
        "start": clock.ends[0][0] - began,
        "start_cpu": clock.ends[0][1] - spent,
        "first_cpu": float(took[0, 1] - cpu),
        "resident_mb": resident_mb(),
    }


def fill_runs(database: Path, trials: int) -> None:
    """Give MLflow the runs of so many trials, as copies of those of the first trial."""
    with closing(sqlite3.connect(database)) as connection, connection:
        key = "SELECT run_uuid FROM tags WHERE key = 'radsearch.key' AND value"
        known = connection.execute("SELECT count(*) FROM runs").fetchone()[0] // RUNS_A_TRIAL
        base = [row[0] for row in connection.execute(f"{key} = 'trial/0' OR value LIKE 'trial/0/%'")]
        marks = ", ".join("?" * len(base))
        for table in TABLES:
            rows = connection.execute(f"SELECT * FROM {table} WHERE run_uuid IN ({marks})", base).fetchall()  # noqa: S608
            if rows:
                insert = f"INSERT INTO {table} VALUES ({', '.join('?' * len(rows[0]))})"  # noqa: S608
                connection.executemany(insert, _copies(rows, base, range(known, trials)))


def _copies(
    rows: Sequence[tuple[Any, ...]], base: Sequence[str], numbers: Iterable[int]
) -> Iterator[tuple[Any, ...]]:
    """Rows of other trials' runs."""
    for number in numbers:
        other = {run: uuid.uuid5(uuid.NAMESPACE_OID, f"{run} {number}").hex for run in base}
        for row in rows:
            yield tuple(_told(value, number, other) for value in row)


def _told(value: Any, number: int, other: Mapping[str, str]) -> Any:
    if not isinstance(value, str):
        return value
    for run in other.keys() & {value, *value.split("/")}:
        value = value.replace(run, other[run])
    return value.replace("trial/0", f"trial/{number}")


def resident_mb() -> float:
    """Resident memory of this process (proc(5))."""
    return int(Path("/proc/self/status").read_text().split("VmRSS:")[1].split()[0]) / 1024


def main() -> None:
    place_, url, what, *more = sys.argv[1:]
    child_process.child_command = lambda descriptor: [sys.executable, str(CHILD), "child", str(descriptor)]
    if what == "prepare":
        prepare(Path(place_), url or None, int(more[0]))
    else:
        print(json.dumps(measure(Path(place_), url or None, what, *map(int, more))))


if __name__ == "__main__":
    main()
