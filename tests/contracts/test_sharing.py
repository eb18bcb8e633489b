"""Several homes work on one study at once: one database, one MLflow server, no writer in common but these."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from mlflow_server.config import ServerConfig
from mlflow_server.launch import start
from search.booking import booked_settings, finished_folds, key_of
from search.claims import ASKED
from search.home import Home
from search.owner import Owner
from search.storage import open_storage

LONGEST = 240.0  # seconds that a process has for all it does

STUDY = """
name = "shared"
cohort = "cohort"
[validation]
folds = 6
repeats = 2
[search]
trials = 500  # far more than are waited for
sampler = "random"
pruner = "none"
[space]
architecture = ["roi_means"]
patch_radius = { low = 2, high = 4 }
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    config = ServerConfig(f"sqlite:///{tmp_path}/server.db", tmp_path / "artifacts")
    running = start(config, tmp_path / "server.log")
    yield running.url
    running.stop()


class Runner:
    """`radsearch run` from a home of its own."""

    def __init__(self, folder: Path, home: str, storage: str, tracking: str) -> None:
        self.home, self.storage, self.lines = home, storage, [""]
        flags = ["--home", home, "--storage", storage, "--tracking-uri", tracking, "--workers", "1"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "search.cli", "run", "study.toml", *flags],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        # Of a process that says nothing more, the next line would be waited for without end.
        self.watch = threading.Timer(LONGEST, self.process.kill)
        self.watch.daemon = True
        self.watch.start()

    def wait_for(self, pattern: str) -> None:
        assert self.process.stderr is not None
        while not re.match(pattern, self.lines[-1]):
            self.lines.append(self.process.stderr.readline())
            assert self.lines[-1], "".join(self.lines[-4:])

    def freeze_in_a_trial(self) -> None:
        """Stop the process where it has a trial: it lives, and nothing happens."""
        deadline = time.monotonic() + LONGEST
        while time.monotonic() < deadline:
            self.wait_for(r"trial \d+ (starts|fold)")
            os.kill(self.process.pid, signal.SIGSTOP)
            me, running = str(Owner.of(self.process.pid)), (optuna.trial.TrialState.RUNNING,)
            trials = study_at(self.storage).get_trials(states=running)
            if any(booked_settings(trial) and trial.user_attrs["owner"] == me for trial in trials):
                return
            os.kill(self.process.pid, signal.SIGCONT)
            self.lines.append("")
        pytest.fail(f"it has no trial of its own in {LONGEST:.0f} s")

    def end(self) -> int:
        _, told = self.process.communicate(timeout=120)
        self.watch.cancel()
        self.lines += told.splitlines()
        return self.process.returncode


def study_at(url: str) -> optuna.Study:
    return optuna.load_study(study_name="shared", storage=open_storage(url, Home.at()))


def runs_at(uri: str) -> list[Run]:
    client = MlflowClient(uri)
    (experiment,) = [e for e in client.search_experiments() if e.name == "shared"]
    return list(client.search_runs([experiment.experiment_id], max_results=1000))


def of_level(runs: list[Run], level: str) -> list[Run]:
    return [run for run in runs if run.data.tags["level"] == level]


def test_two_homes_that_start_at_once_make_one_study_in_both_trackers(
    fault_cohort: Path, tmp_path: Path, database: str, server: str
) -> None:
    """Its run goes on while either of them works, and is over when the last one leaves."""
    shutil.copytree(fault_cohort, tmp_path / "cohort")
    (tmp_path / "study.toml").write_text(STUDY)
    runners = [Runner(tmp_path, home, database, server) for home in ("one", "two")]
    try:
        for runner in runners:
            runner.wait_for(r"trial \d+ starts")
        staying, leaving = runners
        staying.freeze_in_a_trial()
        leaving.process.send_signal(signal.SIGTERM)
        assert leaving.end() == 143, leaving.lines
        (study_run,) = of_level(runs_at(server), "study")
        assert study_run.info.status == "RUNNING"
        study_at(database).set_user_attr(ASKED, 1)  # as a later `run --trials 1` would
        os.kill(staying.process.pid, signal.SIGCONT)
        assert staying.end() == 0, staying.lines
    finally:
        for runner in runners:
            runner.process.kill()

    runs = runs_at(server)
    (study_run,) = of_level(runs, "study")
    by_id = {run.info.run_id: run for run in runs}
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert {run.data.tags["mlflow.parentRunId"] for run in of_level(runs, "trial")} == {study_run.info.run_id}
    for run in of_level(runs, "fold"):
        parent = by_id[run.data.tags["mlflow.parentRunId"]]
        assert (parent.data.tags["level"], parent.data.tags["trial"]) == ("trial", run.data.tags["trial"])
    trials = study_at(database).get_trials()
    complete = [trial for trial in trials if trial.state.name == "COMPLETE"]
    assert {len(finished_folds(trial)) for trial in complete} == {12}
    assert {trial.state.name for trial in trials} <= {"COMPLETE", "FAIL"}
    assert len({trial.user_attrs["owner"] for trial in trials}) == 2
    assert {int(run.data.tags["trial"]) for run in of_level(runs, "trial")} == set(map(key_of, trials))
    assert len(of_level(runs, "trial")) == len(complete)
    assert len(of_level(runs, "fold")) == 12 * len(complete)
