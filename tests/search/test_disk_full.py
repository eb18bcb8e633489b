"""Disks that fill up under a study, through the command line: it stops in one line and loses nothing."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from search.journal import inspect_journal

KIB = 1024
DISK = 16 << 20


def radsearch(*arguments: object, largest_file: int | None = None) -> subprocess.CompletedProcess[str]:
    """Runs a command, with files that must end at a size if one is given."""

    def limit() -> None:
        if largest_file is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, resource.RLIM_INFINITY))

    command = [sys.executable, "-P", "-m", "search.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, preexec_fn=limit)


def trials_of(home: Path) -> list[dict[str, Any]]:
    """The study's trials as `radsearch show` tells them, whatever order they were ended in."""
    shown = radsearch("show", "shallow", "--json", "--home", home)
    if shown.returncode == 1:
        return []  # the disk was full before the study was made
    trials = json.loads(shown.stdout)["trials"]
    return sorted(
        trials, key=lambda trial: json.dumps([trial["params"], trial["fold_metrics"]], sort_keys=True)
    )


def results(trials: list[dict[str, Any]]) -> list[list[Any]]:
    return [[trial[name] for name in ("params", "fold_metrics", "value", "ending")] for trial in trials]


def numbered(trials: list[dict[str, Any]]) -> dict[int, list[Any]]:
    """The results of the complete trials, by number."""
    return {trial["number"]: results([trial]) for trial in trials if trial["state"] == "COMPLETE"}


def check_stopped(ended: subprocess.CompletedProcess[str], home: Path, reason: str) -> None:
    """It ended by itself with 3, and its last line names a file of the home and the reason."""
    assert ended.returncode == 3, ended.stderr
    assert "Traceback" not in ended.stderr
    last = ended.stderr.splitlines()[-1]
    assert last.startswith(str(home))
    assert reason in last


def check_whole(home: Path) -> None:
    """Nothing is left under a temporary name, and the journal has whole records only."""
    assert [
        path for path in home.rglob(".*") if path.name.startswith((".new", ".old")) or path.is_file()
    ] == []
    assert inspect_journal(home / "optuna.journal") == []


def some(usual: int, *more: int) -> list[Any]:
    """One case for every test run, more for `make test-all`."""
    return [usual, *(pytest.param(case, marks=pytest.mark.slow) for case in more)]


@pytest.mark.parametrize("left", some(1700, 0, 400, 1100, 1200, 1300, 1500, 2000, 2300, 2600, 2900))
def test_a_study_on_a_disk_that_fills_up_stops_and_goes_on(
    left: int, shallow: Path, tmp_path: Path, mounted: Callable[[Path, str], None]
) -> None:
    mounted(tmp_path, f"size={DISK}")
    home, ballast = tmp_path / "home", tmp_path / "ballast"
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, DISK - 4096 - left * KIB)
    ended = radsearch("run", shallow / "study.toml", "--home", home)
    check_stopped(ended, home, "No space left on device")
    finished = numbered(trials_of(home))
    ballast.unlink()
    again = radsearch("run", shallow / "study.toml", "--home", home)
    assert again.returncode == 0, again.stderr
    after = trials_of(home)
    assert results(after) == results(trials_of(shallow / "home"))
    assert {number: numbered(after)[number] for number in finished} == finished
    check_whole(home)


@pytest.mark.parametrize("size", some(9_000, 1_000, 2_000, 4_000, 6_000, 12_000, 40_000, 50_000))
def test_a_file_that_may_not_grow_stops_a_study_like_a_full_disk(
    size: int, shallow: Path, tmp_path: Path
) -> None:
    """This needs no disk of its own; MLflow's database, which is far larger, has no room from the start."""
    home = tmp_path / "home"
    shutil.copytree(shallow / "home" / "cache", home / "cache")
    command = ("run", shallow / "study.toml", "--home", home)
    check_stopped(radsearch(*command, largest_file=size), home, "File too large")
    again = radsearch(*command)
    assert again.returncode == 0, again.stderr
    assert results(trials_of(home)) == results(trials_of(shallow / "home"))
    check_whole(home)


def test_mlflow_on_a_full_disk_delays_nothing_and_gets_everything_later(
    shallow: Path, tmp_path: Path, mounted: Callable[[Path, str], None]
) -> None:
    """Its database lies on a disk of its own, so that it alone runs out of room."""
    mounted(tmp_path, "size=400k")
    home = tmp_path.with_name(tmp_path.name + "-home")
    tracking = ("--tracking-uri", f"sqlite:///{tmp_path}/mlflow.db")
    ended = radsearch("run", shallow / "study.toml", "--trials", 2, "--home", home, *tracking)
    assert ended.returncode == 0, ended.stderr
    assert "database or disk is full" in ended.stderr
    assert "they wait in the home and go out at the next run" in " ".join(ended.stdout.split())
    assert [trial["ending"] for trial in trials_of(home)] == ["complete"] * 2
    assert list((home / "studies" / "shallow" / "spool").glob("*-*-*.jsonl"))
    mounted(tmp_path, "remount,size=20m")
    again = radsearch("run", shallow / "study.toml", "--trials", 2, "--home", home, *tracking)
    assert again.returncode == 0, again.stderr
    assert not list((home / "studies" / "shallow" / "spool").glob("*-*-*.jsonl"))
    shown = json.loads(radsearch("show", "shallow", "--json", "--home", home, *tracking).stdout)
    assert all(trial["mlflow_run_id"] for trial in shown["trials"])
