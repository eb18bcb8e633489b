"""`radsearch submit`, up to the launcher; what launchers do is tested beside them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy
from mlflow import MlflowClient
from mlflow.entities import Run

from search.bank import NAME as BANK
from search.cli import main
from search.errors import NothingStartedError
from search.home import Home
from search.launchers import local
from search.launchers.request import LaunchRequest
from search.storage import all_studies, open_to_read
from search.study_file import Study

STORAGE = "postgresql://radsearch:sesame-open@db.lab/trials"
SERVER = "http://mlflow.lab:5000"
SHARED = ("--storage", STORAGE, "--tracking-uri", SERVER)


@pytest.fixture
def folder(make_study: Callable[..., Study], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with `study.toml`, which is the working directory."""
    make_study(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def submit(*flags: str) -> int:
    return main(["submit", "study.toml", "--home", "home", *flags])


def study_run() -> Run:
    """The only run in MLflow."""
    client = MlflowClient(Home.at("home").tracking_uri)
    (experiment,) = [found for found in client.search_experiments() if found.name == "toy"]
    (run,) = client.search_runs([experiment.experiment_id])
    return run


def test_a_dry_run_prints_the_script_without_a_secret_and_writes_and_contacts_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(folder.rglob("*"))
    flags = ("--launcher", "slurm", "--gpus", "8", "--partition", "gpu", "--time", "12:00:00", "--dry-run")
    assert submit(*flags, *SHARED) == 0
    printed = capsys.readouterr()
    assert "#SBATCH --array=1-32%8\n" in printed.out
    assert "#SBATCH --gres=gpu:1\n" in printed.out
    assert "#SBATCH --partition=gpu\n" in printed.out
    worker = f"exec {sys.executable} -P -m search.cli worker toy --workers 1 --require-gpu --leave-within 90 "
    assert worker in printed.out
    assert "sesame-open" not in printed.out + printed.err
    assert printed.err == ""
    assert sorted(folder.rglob("*")) == before


def test_a_dry_run_leaves_the_storage_as_it_is(folder: Path, database: str) -> None:
    flags = ("--launcher", "slurm", "--workers", "2", "--dry-run", "--tracking-uri", SERVER)
    assert submit(*flags, "--storage", database) == 0
    engine = sqlalchemy.create_engine(database)
    assert sqlalchemy.inspect(engine).get_table_names() == []
    engine.dispose()


def test_a_dry_run_reads_the_cohort(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "cohort" / "cohort.toml").write_text("name = 3")
    assert submit("--launcher", "slurm", "--workers", "2", "--dry-run", *SHARED) == 1
    assert "cohort.toml" in capsys.readouterr().err


def test_a_longer_notice_gives_the_running_fold_more_time(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert submit("--launcher", "slurm", "--workers", "2", "--notice", "1800", "--dry-run", *SHARED) == 0
    printed = capsys.readouterr().out
    assert "#SBATCH --signal=B:TERM@1800\n" in printed
    assert "--leave-within 1770 " in printed


def test_everything_wrong_with_the_flags_is_said_at_once_and_nothing_is_written(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ("--memory", "lots", "--time", "soon", "--partition=-x", "--sbatch", "qos")
    assert submit("--launcher", "slurm", "--workers", "2", *flags) == 1
    wheres = [line.partition(":")[0] for line in capsys.readouterr().err.splitlines()]
    assert wheres == ["--memory", "--storage", "--tracking-uri", "--time", "--partition", "--sbatch"]
    assert not (folder / "home").exists()


@pytest.mark.parametrize(
    ("launcher", "flags", "wheres"),
    [
        (
            "local",
            (*("--time", "5", "--partition", "p", "--account", "a", "--tasks", "9", "--setup", "true"),),
            ["--time", "--partition", "--account", "--tasks", "--setup"],
        ),
        (
            "local",
            ("--sbatch=--qos=x", "--address", "a:1", "--memory", "1G"),
            ["--sbatch", "--address", "--memory"],
        ),
        ("ray", ("--tasks", "9", "--memory", "1G", *SHARED), ["--tasks", "--memory"]),
        ("slurm", ("--address", "a:1", *SHARED), ["--address"]),
    ],
)
def test_flags_that_would_do_nothing_are_refused_all_at_once(
    folder: Path, capsys: pytest.CaptureFixture[str], launcher: str, flags: tuple[str, ...], wheres: list[str]
) -> None:
    assert submit("--launcher", launcher, "--workers", "2", "--dry-run", *flags) == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in lines] == wheres
    assert all(f"but got --launcher {launcher}: leave it out" in line for line in lines)


def test_where_nothing_could_be_started_the_run_of_the_study_is_ended_until_it_goes_on(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def launch(request: LaunchRequest) -> int:
        raise NothingStartedError("the queue is closed")

    monkeypatch.setattr(local, "launch", launch)
    assert submit("--launcher", "local", "--workers", "1") == 3
    assert capsys.readouterr().err.splitlines()[-1] == "the queue is closed"
    assert study_run().info.status == "FAILED"
    monkeypatch.setattr(local, "launch", lambda request: 0)
    assert submit("--launcher", "local", "--workers", "1") == 0
    assert study_run().info.status == "RUNNING"


def test_without_sbatch_nothing_is_begun(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert submit("--launcher", "slurm", "--workers", "2", *SHARED) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert "sbatch must be on the path" in line
    assert not (folder / "home").exists()


def test_addresses_of_this_machine_are_pointed_out(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    here = ("--storage", "postgresql://jo@localhost/x", "--tracking-uri", "http://127.0.0.1:5000")
    assert submit("--launcher", "slurm", "--workers", "2", "--dry-run", *here) == 0
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[:2] for line in lines] == [["note", " --storage"], ["note", " --tracking-uri"]]


def test_the_study_is_open_and_frozen_before_workers_are_asked_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    requests: list[LaunchRequest] = []

    def launch(request: LaunchRequest) -> int:
        home = Home.at("home")
        storage = open_to_read(None, home)
        assert storage is not None
        assert [study.study_name for study in all_studies(storage)] == ["toy"]
        assert all((home.study("toy").root / name).exists() for name in ("folds.tsv", BANK, "study.json"))
        requests.append(request)
        return 0

    monkeypatch.setattr(local, "launch", launch)
    assert submit("--launcher", "local", "--workers", "3", "--trials", "7", "--grace", "60") == 0
    assert capsys.readouterr().out == "Look further: radsearch show toy --home home\n"
    (request,) = requests
    assert (request.study, request.trials, request.at_once, request.gpus) == ("toy", 7, 3, 0)
    assert request.env_file.stat().st_mode & 0o777 == 0o600
    assert study_run().info.status == "RUNNING"
    client = MlflowClient(Home.at("home").tracking_uri)
    assert "study.toml" in [file.path for file in client.list_artifacts(study_run().info.run_id)]
    assert os.environ | request.environment == os.environ | {"RADSEARCH_HOME": str(folder / "home")}
