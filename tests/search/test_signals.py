"""Ctrl-C, SIGTERM and a terminal that closes, sent to the real command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from search.study_file import Study

SECONDS = 20  # far above what ending takes, far below what the fold would: a loaded machine is slow
ENDLESS = ("--set", "training.epochs=1000000", "--set", "training.early_stopping=none", "--trials", "1")


def started(folder: Path, *extra: str, before: Callable[[], None] | None = None) -> subprocess.Popen[str]:
    """A run whose only trial will not end by itself, up to the first epochs of its first fold."""
    command = [sys.executable, "-m", "search.cli", "run", "study.toml", "--home", "home", *ENDLESS, *extra]
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=before
    )
    assert process.stderr is not None
    deadline = time.monotonic() + 120
    while (line := process.stderr.readline()) and time.monotonic() < deadline:
        if "trial 0" in line:
            time.sleep(1.0)  # into the fold, or at least into the start of its child
            return process
    raise AssertionError(f"the run ended before its first trial: {process.communicate()}")


def children_of(pid: int) -> list[int]:
    """Processes that the one with this number started."""
    text = Path(f"/proc/{pid}/task/{pid}/children")
    tasks = Path(f"/proc/{pid}/task").glob("*/children") if text.exists() else ()
    return [int(number) for task in tasks for number in task.read_text().split()]


def states(folder: Path) -> list[tuple[str, int | None]]:
    command = [sys.executable, "-m", "search.cli", "show", "toy", "--json", "--home", "home"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return [(trial["state"], trial["retry_of"]) for trial in json.loads(done.stdout)["trials"]]


def gone(pids: list[int]) -> bool:
    deadline = time.monotonic() + SECONDS
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.1)
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_puts_the_trial_back_within_seconds_and_tells_itself_by_the_exit_code(
    make_study: Callable[..., Study], tmp_path: Path, number: signal.Signals
) -> None:
    make_study(tmp_path)
    process = started(tmp_path)
    children = children_of(process.pid)
    process.send_signal(number)
    stdout, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 128 + number
    assert f"Stopped by {number.name}, everything booked" in stdout
    assert states(tmp_path) == [("WAITING", 0)]
    assert children
    assert gone(children)


def test_a_second_ctrl_c_leaves_at_once_and_loses_no_more_than_a_kill(
    make_study: Callable[..., Study], tmp_path: Path
) -> None:
    make_study(tmp_path)
    process = started(tmp_path)
    children = children_of(process.pid)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=SECONDS)
    assert process.returncode == 130
    assert "Traceback" not in stdout + stderr
    assert children
    assert gone(children)
    rest = ("--set", "training.epochs=1000000", "--set", "training.early_stopping=none", "--timeout", "0.1")
    command = [sys.executable, "-m", "search.cli", "run", "study.toml", "--home", "home", "--trials", "1"]
    again = subprocess.run([*command, *rest], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (again.returncode, "Traceback" in again.stderr) == (0, False)
    (trial,) = states(tmp_path)
    assert trial[0] == "WAITING"


def test_a_closed_terminal_is_ignored_where_that_was_asked_for(
    make_study: Callable[..., Study], tmp_path: Path
) -> None:
    make_study(tmp_path)
    process = started(tmp_path, before=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN) and None)
    process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=3)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=SECONDS)
    assert process.returncode == 143


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_command_that_is_stopped_while_it_writes_leaves_nothing_behind(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    command = [sys.executable, "-m", "search.cli", "phantom", "out", "--participants", "400"]
    process = subprocess.Popen([*command, "--biopsies", "800"], cwd=tmp_path, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not any(tmp_path.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert process.poll() is None
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == code
    assert b"Traceback" not in stderr
    assert list(tmp_path.iterdir()) == []


def test_a_signal_before_the_first_trial_ends_the_run_too(
    make_study: Callable[..., Study], tmp_path: Path
) -> None:
    make_study(tmp_path)
    command: list[Any] = [sys.executable, "-m", "search.cli", "run", "study.toml", "--home", "home", *ENDLESS]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not (tmp_path / "home").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGTERM)
    _, stderr = process.communicate(timeout=SECONDS)
    assert process.returncode == 143
    assert b"Traceback" not in stderr
