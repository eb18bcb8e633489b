"""`radsearch worker`: joins a study by its name, and leaves it whole."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import optuna
import pytest
from mlflow import MlflowClient

from mlflow_server.launch import free_port
from search.booking import finished_folds
from search.cli import main
from search.home import Home
from search.progress import Listener
from search.storage import open_storage
from search.study_file import read_study
from search.supervisor import RunOptions, create_study
from tests.impostors import ELSE, web_server

Open = Callable[..., str]


@pytest.fixture
def open_it(shallow: Path, tmp_path: Path, database: str) -> Open:
    """Opens a study of baselines on PostgreSQL, none of its trials run; returns the address of the database.

    Its MLflow is a file, `mlflow.db`.
    """

    def make(*overrides: str) -> str:
        shutil.copy(shallow / "home" / "mlflow.db", tmp_path / "mlflow.db")
        study = read_study(shallow / "study.toml", ["name=joined", *overrides])
        tracking = f"sqlite:///{tmp_path}/mlflow.db"
        create_study(study, Home.at(tmp_path / "opener"), RunOptions(database, tracking), Listener())
        return database

    return make


def trials_of(url: str) -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name="joined", storage=open_storage(url, Home.at())).get_trials()


def test_a_worker_needs_the_storage_and_a_cohort_alone(
    open_it: Open, shallow: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It writes into its own home and cache, and is told by the storage what to do and where to log."""
    url = open_it("search.trials=3")
    shutil.copytree(shallow / "cohort", tmp_path / "mine")
    (tmp_path / "opener").rename(tmp_path / "gone")
    flags = ["--home", str(tmp_path / "home"), "--cache", str(tmp_path / "scratch")]
    assert main(["worker", "joined", "--storage", url, "--cohort", str(tmp_path / "mine"), *flags]) == 0
    said = capsys.readouterr()
    first, second = said.out.splitlines()
    assert first == "This worker ended 3 trials and trained 9 folds: no trial was left."
    assert second.startswith(
        f"Look further: radsearch show joined --home {tmp_path}/home --storage postgresql://"
    )
    assert "correct-horse" not in said.out + said.err

    trials = trials_of(url)
    assert [(trial.state.name, len(finished_folds(trial))) for trial in trials] == [("COMPLETE", 3)] * 3
    # Beside a database rather than a server, MLflow keeps artifacts where the experiment was made.
    assert [path.name for path in (tmp_path / "opener").iterdir()] == ["mlartifacts"]
    assert not (tmp_path / "home" / "cache").exists()
    assert len(list((tmp_path / "scratch").glob("*/patches.json"))) == 1
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    experiment = client.get_experiment_by_name("joined")
    runs = client.search_runs([experiment.experiment_id])
    assert [run.info.run_name for run in runs if "mlflow.parentRunId" not in run.data.tags] == ["joined"]
    assert (len(runs), {run.info.status for run in runs}) == (1 + 3 + 9, {"FINISHED"})
    assert main(["show", "joined", "--storage", url, "--home", str(tmp_path / "home")]) == 0


def test_a_worker_that_is_asked_to_leave_puts_its_trial_back_and_leaves_well(
    open_it: Open, tmp_path: Path
) -> None:
    """SIGTERM ends with 0 after the fold that runs, Ctrl-C with 130 and without it; no fold runs twice."""
    url = open_it("search.trials=1", "validation.folds=8", "validation.repeats=50")
    done = 0
    for number, code in ((signal.SIGTERM, 0), (signal.SIGINT, 130)):
        command = [sys.executable, "-m", "search.cli", "worker", "joined", "--storage", url, "--home", "home"]
        process = subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stderr is not None
        seen = [""]
        while not re.match(rf"trial \d fold {done + 3}:", seen[-1]):
            seen.append(process.stderr.readline())
            assert seen[-1], seen
        process.send_signal(number)
        out, _ = process.communicate(timeout=60)
        assert process.returncode == code, out
        told = re.match(rf"This worker ended 0 trials and trained (\d+) folds: {number.name}; what was", out)
        assert told is not None, out
        *earlier, waiting = trials_of(url)
        assert waiting.state.name == "WAITING"
        assert {trial.state.name for trial in earlier} == {"FAIL"}
        done += int(told[1])
        assert sorted(finished_folds(waiting)) == list(range(done))
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    (study,) = client.search_runs(
        [client.get_experiment_by_name("joined").experiment_id], "tags.level = 'study'"
    )
    assert study.info.status == "RUNNING"  # a trial waits to be taken up


def test_a_node_with_a_broken_gpu_uses_up_no_array(
    open_it: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url, slept = open_it("search.trials=1"), []
    monkeypatch.setattr("search.commands.worker.time", SimpleNamespace(sleep=slept.append))
    flags = ["--storage", url, "--home", str(tmp_path / "home"), "--gpus=", "--require-gpu", "--wait", "600"]
    assert main(["worker", "joined", *flags]) == 1
    assert slept == []
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    assert main(["worker", "joined", *flags]) == 1
    assert slept == [600]
    said = capsys.readouterr().err.splitlines()
    assert "this node is tried once more in 600 s" in said[-2]
    assert said[-1].startswith("--require-gpu: a GPU is needed")


def test_workers_of_one_machine_share_the_journal_of_a_home(
    shallow: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home.at(shutil.copytree(shallow / "home", tmp_path / "home"))
    study = optuna.load_study(study_name="shallow", storage=open_storage(None, home))
    study.set_user_attr("asked", 7)
    before = home.study("shallow").definition.read_bytes()
    assert main(["worker", "shallow", "--home", str(home.root)]) == 0
    assert "This worker ended 1 trial and trained 3 folds" in capsys.readouterr().out
    assert [trial.state.name for trial in study.get_trials()] == ["COMPLETE"] * 7
    assert home.study("shallow").definition.read_bytes() == before


def test_a_worker_waits_for_mlflow_as_for_the_storage(
    shallow: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = shutil.copytree(shallow / "home", tmp_path / "home")
    flags = ["--home", str(home), "--tracking-uri", f"http://jo:s3cret@127.0.0.1:{free_port()}"]
    monkeypatch.setattr("search.waiting.PAUSE_SECONDS", 0.05)
    assert main(["worker", "shallow", *flags, "--wait", "1"]) == 3
    told = capsys.readouterr().err
    assert re.match(r"tracking URI: MLflow at \S+ cannot be reached: .*; it is tried again for 1 s\n", told)
    assert "s3cret" not in told
    with web_server({ELSE: (401, "")}) as uri:
        assert main(["worker", "shallow", *flags[:3], uri, "--wait", "600"]) == 1
    assert "tried again" not in capsys.readouterr().err
