"""Many workers on one PostgreSQL: what asking and telling takes them, and whether a trial is run twice."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import sqlalchemy
from optuna.trial import FrozenTrial

from benchmarks.scale_study import opened, settings
from search.home import Home
from tests.postgresql import Cluster

ROOT = Path(__file__).parents[1]
PROCESSES = 20  # 200 Python processes would not fit into this machine's memory; 20 of 10 threads do
LOOK_SECONDS = 0.5  # between two looks at the database's connections
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Level:
    """A load.

    Attributes:
        side: "ours" or "theirs".
        workers: How many.
        seconds: How long a trial sleeps.
        trials: How many are asked for.
        waiting: Whether they all wait from the start, as enqueued ones do.
    """

    side: str
    workers: int
    seconds: float
    trials: int
    waiting: bool = False

    @property
    def name(self) -> str:
        """Of a study that no other load has."""
        queue = "waiting" if self.waiting else "new"
        return f"{self.side}-{self.workers}-{self.seconds:g}-{self.trials}-{queue}".replace(".", "_")


@dataclass
class Load:
    """What came of it.

    Attributes:
        level: The load.
        wall: Seconds from the first ask to the last worker's end.
        seconds: Of each kind of call, in seconds.
        run: How many trials were run, each counted once.
        twice: Folds that were run more than once.
        overshoot: Trials beyond those asked for.
        unfinished: Trials that did not end.
        workers_cpu, database_cpu: Seconds.
        connections: The most that were open at a time.
        blocked: The largest number of connections that waited for a lock at a time.
    """

    level: Level
    wall: float
    seconds: dict[str, list[float]]
    run: int
    twice: int
    overshoot: int
    unfinished: int
    workers_cpu: float
    database_cpu: float = 0.0
    connections: int = 0
    blocked: int = 0

    @property
    def asks_a_second(self) -> float:
        """Over the time in which all workers had something to do."""
        return self.run / self.wall

    def quantile(self, what: str, share: float) -> float:
        """Of one kind of call, in ms."""
        return 1000 * float(np.quantile(self.seconds.get(what) or [math.nan], share))


@dataclass
class Watch:
    """Counts a database's connections meanwhile."""

    url: str
    most: int = 0
    blocked: int = 0
    _ended: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Look now and then within the block."""
        thread = threading.Thread(target=self._look)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()

    def _look(self) -> None:
        asked = sqlalchemy.text(
            "SELECT count(*), count(*) FILTER (WHERE wait_event_type = 'Lock') FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid != pg_backend_pid()"
        )
        engine = sqlalchemy.create_engine(self.url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            while not self._ended.wait(LOOK_SECONDS):
                count, blocked = connection.execute(asked).one()
                self.most, self.blocked = max(self.most, count), max(self.blocked, blocked)
        engine.dispose()


class Crew:
    """The processes in which workers run.

    Args:
        url: Of the database.
        folder: Of the study files and the home.
        workers: The most that will be asked for.
    """

    def __init__(self, url: str, folder: Path, workers: int) -> None:
        count = min(PROCESSES, workers)
        command = [sys.executable, "-m", "benchmarks.scale_workers", url, str(folder)]
        self._log = (folder / "workers.log").open("a")
        self._processes = [
            subprocess.Popen(
                [*command, str(math.ceil(workers / count))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                cwd=ROOT,
                text=True,
            )
            for _ in range(count)
        ]

    def run(self, study: str, level: Level) -> tuple[float, list[dict[str, Any]]]:
        """Run a load; returns its seconds and what each process said."""
        count = len(self._processes)
        shares = [(level.workers + place) // count for place in range(count)]
        busy = [(p, share) for p, share in zip(self._processes, shares, strict=True) if share]
        for process, share in busy:
            order = {"side": level.side, "study": study, "workers": share, "seconds": level.seconds}
            self._say(process, json.dumps(order))
        for process, _ in busy:
            self._hear(process)
        began = time.perf_counter()
        for process, _ in busy:
            self._say(process, "go")
        answers = [json.loads(self._hear(process)) for process, _ in busy]
        return time.perf_counter() - began, answers

    def _say(self, process: subprocess.Popen[str], line: str) -> None:
        assert process.stdin is not None
        process.stdin.write(line + "\n")
        process.stdin.flush()

    def _hear(self, process: subprocess.Popen[str]) -> str:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            sys.exit(f"a process of workers died:\n{Path(self._log.name).read_text()[-2000:]}")
        return line

    def close(self) -> None:
        """End them."""
        for process in self._processes:
            process.kill()
            process.wait()
        self._log.close()


def run_level(crew: Crew, server: Cluster, url: str, folder: Path, level: Level) -> Load:
    """Make a study of its own for a load, run it, and look at what was run how often."""
    name = level.name
    study = _made(name, url, folder, level)
    watch, before = Watch(url), cpu_of(server.pid)
    with watch.watching():
        wall, answers = crew.run(name, level)
    problems = [problem for answer in answers for problem in answer["problems"]]
    if problems:
        sys.exit(f"{name}: {len(problems)} workers failed, the first with {problems[0]}")
    load = tally(level, wall, answers, study.get_trials(deepcopy=False))
    load.database_cpu = cpu_of(server.pid) - before
    load.connections, load.blocked = watch.most, watch.blocked
    return load


def tally(
    level: Level, wall: float, answers: Sequence[Mapping[str, Any]], trials: Sequence[FrozenTrial]
) -> Load:
    """Put together what the processes said, and count how often each fold was run.

    Args:
        level: The load.
        wall: How long it took.
        answers: Of `benchmarks.scale_workers`.
        trials: Of the study, afterwards.
    """
    seconds: dict[str, list[float]] = {}
    for answer in answers:
        for what, some in answer["seconds"].items():
            seconds.setdefault(what, []).extend(some)
    runs = Counter((trial, split) for answer in answers for trial, split in answer["done"])
    return Load(
        level,
        wall,
        seconds,
        run=len({trial for trial, _ in runs}),
        twice=sum(count - 1 for count in runs.values()),
        overshoot=len(trials) - level.trials,
        unfinished=sum(not trial.state.is_finished() for trial in trials),
        workers_cpu=sum(answer["cpu"] for answer in answers),
    )


def _made(name: str, url: str, folder: Path, level: Level) -> optuna.Study:
    asked = settings(folder, name, level.trials, sampler="tpe")
    if level.side == "ours":
        study = opened(asked, url, Home.at(folder / "home"))
    else:
        study = optuna.create_study(study_name=name, storage=url, direction="maximize")
    for _ in range(level.trials if level.waiting else 0):
        study.enqueue_trial({"architecture": "small_cnn"})
    return study


def cpu_of(pid: int) -> float:
    """CPU seconds of a process, of its children and of those that it has outlived (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    spent = sum(map(int, fields[11:15])) / TICKS
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        try:
            spent += cpu_of(int(child))
        except FileNotFoundError:
            continue  # it ended meanwhile, and is among those outlived
    return spent


def table(loads: Sequence[Load]) -> list[str]:
    """One line a load, as Markdown."""
    calls = {"ask": "ask", "turn": "of it its turn", "sample": "sample", "fold": "fold", "tell": "tell"}
    head = ["workers", "s a trial", "asks/s", *(f"{title} ms" for title in calls.values())]
    head += ["first ask ms", "CPU ms a trial: database, worker", "connections", "run twice", "too many"]
    lines = ["| " + " | ".join(head) + " |", "| --- " * len(head) + "|"]
    for load in loads:
        level, run = load.level, max(1, load.run)
        cells = [f"{level.workers} {level.side}", f"{level.seconds:g}", f"{load.asks_a_second:.2f}"]
        cells += [_spread(load, what) for what in calls] + [_spread(load, "first ask")]
        cells += [f"{1000 * load.database_cpu / run:.0f}, {1000 * load.workers_cpu / run:.0f}"]
        cells += [f"{load.connections}, {load.blocked} blocked", str(load.twice), str(load.overshoot)]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _spread(load: Load, what: str) -> str:
    """Median, 95 % and largest."""
    if what not in load.seconds:
        return ""
    return " / ".join(f"{load.quantile(what, share):.0f}" for share in (0.5, 0.95, 1.0))


def ratios(loads: Sequence[Load]) -> Mapping[str, float]:
    """Theirs over ours of the same load, by what took how long at the median."""
    ours, theirs = (next(load for load in loads if load.level.side == side) for side in ("ours", "theirs"))
    return {what: theirs.quantile(what, 0.5) / ours.quantile(what, 0.5) for what in ("ask", "sample", "fold")}
