"""Small studies to be disturbed, and the processes that run them."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from search.home import Home
from search.material import prepare
from search.study_file import read_study
from tests.contracts.faults.books import Books

HERE = Path(__file__).parent
NAME = "victim"
GRACE = 30  # longer than a busy machine keeps a living process from giving a sign of life

# Trained by `light_child.py`: a fold takes no longer than it is told to.
LIGHT = """
name = "victim"
cohort = "cohort"
[validation]
folds = {folds}
[input]
augmentation = []
[training]
epochs = 2
[search]
trials = {trials}
sampler = "{sampler}"
pruner = "median"
enqueue = [{{ optimizer = "sgd", learning_rate = 0.01, patch_radius = 3, momentum = 0.5 }}]
[space]
architecture = ["small_cnn"]
optimizer = ["adam", "sgd"]
learning_rate = {{ low = 1e-4, high = 1e-1, log = true }}
batch_size = [9]
patch_radius = {{ low = 2, high = 4 }}
momentum = {{ low = 0.0, high = 0.9, when = {{ optimizer = "sgd" }} }}
"""
FREE = LIGHT.replace('"median"', '"none"')  # its results do not depend on which trial ends first

# Trained by the real child: baselines, which load no TensorFlow.
REAL = """
name = "victim"
cohort = "cohort"
[validation]
folds = {folds}
[search]
trials = {trials}
sampler = "{sampler}"
pruner = "none"
enqueue = [{{ architecture = "roi_means", patch_radius = 2 }}]
[space]
architecture = ["constant", "location", "missingness", "roi_means"]
patch_radius = [2, 3]
"""


class Process(Protocol):
    """A run of `radsearch`."""

    pid: int

    def wait(self, timeout: float) -> int | None:
        """The exit code, negative for a signal; None while it runs."""


@dataclass(frozen=True)
class Victim:
    """A study in a folder of its own.

    Attributes:
        folder: With cohort, study file and homes; what processes say goes to `log`.
        trials: How many are asked for.
        storage: The database of its trials; None for the journal in its home.
        seconds: What the longest fold takes.
        grace: Seconds without a sign of life after which another machine counts a trial as lost.
    """

    folder: Path
    trials: int
    storage: str | None = None
    seconds: float = 0.06
    grace: int = GRACE

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def home_of(self, worker: int) -> Path:
        """The home of a process; 0 is whoever opened the study, whose MLflow is everybody's."""
        return self.folder / f"home{worker}" if worker else self.home

    @property
    def homes(self) -> list[Path]:
        return sorted(self.folder.glob("home*"))

    @property
    def tracking(self) -> str:
        return f"sqlite:///{self.home / 'mlflow.db'}"

    @property
    def log(self) -> Path:
        return self.folder / "said.log"

    @property
    def trace(self) -> Path:
        return self.folder / "trace.jsonl"

    @property
    def splits(self) -> Path:
        return self.folder / "splits.json"

    def argv(self, *more: str) -> list[str]:
        """The command that runs the study."""
        where = ["--home", str(self.home), *self._storage]
        grace = ["--grace", str(self.grace)] if self.storage else []
        return ["run", str(self.folder / "study.toml"), *where, *grace, "--workers", "1", *more]

    def joining(self, worker: int, *more: str) -> list[str]:
        """The command that joins the study from a home of its own."""
        where = ["--home", str(self.home_of(worker)), "--tracking-uri", self.tracking, *self._storage]
        return ["worker", NAME, *where, "--workers", "1", *more]

    def examined(self, home: Path) -> list[str]:
        """The command that mends what was left behind."""
        tracking = ["--tracking-uri", self.tracking] if home != self.home else []
        return ["doctor", NAME, "--home", str(home), *tracking, *self._storage]

    @property
    def _storage(self) -> list[str]:
        return ["--storage", self.storage] if self.storage else []

    @property
    def books(self) -> Books:
        return Books(self.home, NAME, self.storage)

    @property
    def light(self) -> list[str]:
        """The command of the light child."""
        script = str(HERE / "light_child.py")
        return [sys.executable, "-I", "-S", script, str(self.trace), str(self.splits), str(self.seconds)]


def make_victim(
    folder: Path,
    cohort: Path,
    text: str,
    trials: int,
    sampler: str = "random",
    folds: int = 3,
    storage: str | None = None,
) -> Victim:
    """Write a study of that cohort; its light child is told the folds."""
    folder.mkdir(parents=True)
    (folder / "cohort").symlink_to(cohort)
    (folder / "study.toml").write_text(text.format(trials=trials, sampler=sampler, folds=folds))
    victim = Victim(folder, trials, storage)
    study = read_study(folder / "study.toml")
    material = prepare(study, Home.at(folder / "home"), frozen=False)
    splits = [
        {
            "index": split.index,
            "repeat": split.repeat,
            "fold": split.fold,
            "rows": split.test.tolist(),
            "participants": material.participant[split.test].tolist(),
            "labels": material.labels.label[split.test].tolist(),
        }
        for split in material.folds.splits()
    ]
    victim.splits.write_text(json.dumps(splits))
    return victim


def provide_database(victim: Victim, empty: Path) -> None:
    """Spare the study the seconds in which MLflow sets up its database."""
    victim.home.mkdir(exist_ok=True)
    shutil.copy(empty, victim.home / "mlflow.db")


class Forked:
    """A fork of the warm process."""

    def __init__(self, warm: Warm, pid: int) -> None:
        self._warm, self.pid = warm, pid
        self._code: int | None = None

    def wait(self, timeout: float) -> int | None:
        if self._code is None:
            self._code = self._warm.ask({"do": "wait", "pid": self.pid, "timeout": timeout})["code"]
        return self._code


class Warm:
    """The handle on `warm.py`."""

    def __init__(self) -> None:
        environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MPLBACKEND": "agg"}
        environment |= {
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "PYTHONPATH": str(HERE.parents[2]),
        }
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(HERE / "warm.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            start_new_session=True,
        )

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the warm process died"
        answer: dict[str, Any] = json.loads(line)
        return answer

    def start(
        self, victim: Victim, points: dict[str, Any] | None = None, *more: str, host: str | None = None
    ) -> Forked:
        """Start a run of the victim with the light child; it may take itself to be on another machine."""
        return self._start(victim, victim.argv(*more), points, host)

    def join(
        self,
        victim: Victim,
        worker: int,
        points: dict[str, Any] | None = None,
        *more: str,
        host: str | None = None,
    ) -> Forked:
        """Start a worker, which may take itself to be on another machine."""
        return self._start(victim, victim.joining(worker, *more), points, host)

    def _start(
        self, victim: Victim, argv: list[str], points: dict[str, Any] | None, host: str | None = None
    ) -> Forked:
        request = {
            "argv": argv,
            "log": str(victim.log),
            "child": victim.light,
            "points": points,
            "host": host,
        }
        return Forked(self, self.ask({"do": "start", **request})["pid"])

    def command(self, victim: Victim, *argv: str) -> int:
        """Run another command to its end; returns its exit code."""
        process = Forked(self, self.ask({"do": "start", "argv": argv, "log": str(victim.log)})["pid"])
        code = process.wait(120)
        assert code is not None, f"radsearch {argv[0]} hangs"
        return code

    def close(self) -> None:
        self._process.communicate()


class Cold:
    """`python -m search.cli`, as a shell would start it, with the real child."""

    def __init__(self, victim: Victim) -> None:
        command = [sys.executable, "-m", "search.cli", *victim.argv()]
        with victim.log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE.parents[2])},
                preexec_fn=prepare_process,
            )
        self.pid = self._process.pid

    def wait(self, timeout: float) -> int | None:
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None


def prepare_process() -> None:
    """Die with the tests, and hear Ctrl-C also where those were started in the background, which do not."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def child_of(owner: int) -> int | None:
    """The pid of an owner's child, None while it has none."""
    try:
        threads = list(Path(f"/proc/{owner}/task").iterdir())
        pids = [int(pid) for thread in threads for pid in (thread / "children").read_text().split()]
    except OSError:
        return None  # the owner has just died
    return next((pid for pid in pids if not _is_zombie(pid)), None)


def is_stopped(pid: int) -> bool:
    """Whether the process was stopped by a signal."""
    return _state(pid) == "T"


def _is_zombie(pid: int) -> bool:
    return _state(pid) in ("Z", "")


def _state(pid: int) -> str:
    """Its letter in proc(5), empty where there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def until(condition: Any, timeout: float = 60.0, pause: float = 0.02) -> bool:
    """Wait for a condition; whether it came true in time."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True
