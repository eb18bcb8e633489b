"""`radsearch submit --launcher slurm` from the command line to the last trial, on a stand-in for SLURM.

Real workers on a real PostgreSQL with a real MLflow server; `light_child.py` stands in for what trains.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from optuna.trial import FrozenTrial

from mlflow_server.config import ServerConfig
from mlflow_server.launch import free_port, start
from search.cli import main
from search.home import Home
from search.storage import open_to_read
from tests.contracts.faults.books import amiss, folds_of, trained_twice
from tests.contracts.faults.victims import LIGHT, NAME, Victim, make_victim, until
from tests.contracts.light_workers import light_node
from tests.postgresql import PASSWORD, Cluster
from tests.slurm import Slurm

MakeSite = Callable[..., "Site"]


@dataclass(frozen=True)
class Site:
    """A study, a database, and a cluster to run it on."""

    victim: Victim
    storage: str
    tracking: str
    slurm: Slurm

    def submit(self, *flags: str) -> int:
        """Submit the study; nodes find the light child by a line of set-up."""
        environment = f"export PYTHONPATH={self.victim.folder}/node:$PYTHONPATH OMP_NUM_THREADS=1"
        where = ("--home", str(self.victim.home), "--storage", self.storage, "--tracking-uri", self.tracking)
        study = str(self.victim.folder / "study.toml")
        return main(["submit", study, "--launcher", "slurm", *where, "--setup", environment, *flags])

    @property
    def script(self) -> str:
        return (self.victim.home / "studies" / NAME / "submit.sbatch").read_text()

    def log(self, task: int) -> str:
        return (self.victim.home / "studies" / NAME / "logs" / f"slurm-100_{task}.log").read_text()

    def trials(self) -> list[FrozenTrial]:
        storage = open_to_read(self.storage, Home(self.victim.home))
        assert storage is not None
        return storage.get_all_trials(storage.get_study_id_from_name(NAME))

    def trace(self) -> list[dict[str, Any]]:
        """What light children have begun and ended."""
        path = self.victim.trace
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def in_fold(self, split: int) -> bool:
        """Whether the last thing that happened is that a fold with this number began."""
        return [(event["event"], event["split"]) for event in self.trace()[-1:]] == [("start", split)]

    def hold(self, split: int) -> Path:
        """The file while which is there no training of this fold ends."""
        return Path(f"{self.victim.trace}.hold-{split}")

    def verdict(self) -> list[str]:
        """What is wrong with the study at its end."""
        trials = self.trials()
        return [*amiss(trials, self.victim.trials), *trained_twice(self.victim.trace, trials)]


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an MLflow server."""
    folder = tmp_path_factory.mktemp("mlflow")
    config = ServerConfig(f"sqlite:///{folder}/server.db", folder / "artifacts", port=free_port())
    server = start(config, folder / "server.log")
    yield config.url
    server.stop()


@pytest.fixture
def make_site(
    make_cohort: Callable[..., Path],
    tmp_path: Path,
    database: str,
    tracking: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[MakeSite]:
    made: list[Slurm] = []

    def make(trials: int, seconds: float) -> Site:
        cohort = make_cohort(
            tmp_path / "cohort", participants=12, biopsies=36, sequences=("T1", "T2"), size=12
        )
        victim = make_victim(tmp_path / "victim", cohort, LIGHT, trials)
        node = light_node(victim, seconds)
        slurm = Slurm(tmp_path / "slurm", kill_wait=60)
        monkeypatch.setenv("PATH", str(slurm.bin), prepend=os.pathsep)
        monkeypatch.setenv("TMPDIR", str(node))
        made.append(slurm)
        return Site(victim, database, tracking, slurm)

    yield make
    for slurm in made:
        slurm.close()


def command_lines() -> set[bytes]:
    """Those of all processes."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.add(path.read_bytes())
        except OSError:
            continue
    return found


def test_an_array_of_workers_runs_the_study_and_the_password_is_nowhere_to_be_read(
    make_site: MakeSite, capfd: pytest.CaptureFixture[str]
) -> None:
    site = make_site(trials=5, seconds=0.3)  # too few to be pruned
    assert site.submit("--workers", "2", "--tasks", "3", "--cpus", "1") == 0
    seen: set[bytes] = set()
    deadline = time.monotonic() + 240
    while not site.slurm.events("done"):
        assert time.monotonic() < deadline, site.slurm.events()
        seen |= command_lines()
        time.sleep(0.2)
    assert site.verdict() == []
    assert [event["state"] for event in site.slurm.events("end")] == ["COMPLETED"] * 3
    assert max(event["running"] for event in site.slurm.events("start")) == 2
    logs = [path.name for path in (site.victim.home / "studies" / NAME / "logs").glob("slot-*")]
    assert logs
    assert "slot-0.log" not in logs  # of which several workers would share one
    assert "This worker ended 0 trials and trained 0 folds: no trial was left." in site.log(3)
    assert any(f"search.cli\0worker\0{NAME}".encode() in line for line in seen)
    assert not [
        line for line in seen if site.storage.encode() in line
    ]  # all have one password: the URL is ours
    client = MlflowClient(site.tracking)
    (experiment,) = [found for found in client.search_experiments() if found.name == NAME]
    runs = client.search_runs([experiment.experiment_id])
    assert Counter(run.data.tags["level"] for run in runs) == {"study": 1, "trial": 5, "fold": 15}
    assert {run.info.status for run in runs} == {"FINISHED"}
    told = capfd.readouterr()
    assert PASSWORD not in told.out + told.err + site.script + "".join(site.log(task) for task in (1, 2, 3))


def test_whatever_ends_a_worker_no_fold_is_lost_and_no_finished_one_trained_again(
    make_site: MakeSite, postgres: Cluster
) -> None:
    site = make_site(trials=1, seconds=0)
    for split in range(3):
        site.hold(split).touch()
    assert site.submit("--workers", "1", "--tasks", "2", "--cpus", "1") == 0
    assert until(lambda: site.in_fold(0), 120)
    site.slurm.ask("leave", task=1)  # as before its limit: SIGTERM to the batch shell alone
    site.slurm.wait("signal")
    site.hold(0).unlink()  # the worker was told while the fold ran
    assert until(lambda: site.in_fold(1), 120)
    site.slurm.ask("preempt", task=2)  # SIGTERM to all processes of the task, the one that trains among them
    site.slurm.wait("start", 3)
    site.hold(1).unlink()
    assert until(lambda: site.in_fold(2), 120)
    postgres.stop()  # so that the next starts while the database is away
    os.kill(site.slurm.events("start")[2]["pid"], signal.SIGKILL)
    assert until(lambda: "it is tried again for 600 s" in site.log(2), 120)
    postgres.start()
    site.hold(2).unlink()
    site.slurm.wait("done")
    ends = [(event["task"], event["restarts"], event["state"]) for event in site.slurm.events("end")]
    assert ends == [(1, 0, "COMPLETED"), (2, 0, "PREEMPTED"), (2, 1, "NODE_FAIL"), (2, 2, "COMPLETED")]
    assert site.slurm.events("end")[0]["code"] == 0
    assert "trained 1 fold: SIGTERM; what was under way is put back" in site.log(1)
    trials = site.trials()
    endings = [trial.user_attrs["ending"] for trial in trials]
    assert endings == ["interrupted", "interrupted", "owner lost", "complete"]
    assert [list(folds_of(trial)) for trial in trials] == [[0], [0], [0, 1], [0, 1, 2]]
    assert list(amiss(trials, 1)) == []
    assert [event["split"] for event in site.trace() if event["event"] == "end"] == [0, 1, 2]
