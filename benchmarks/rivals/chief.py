"""Starts KerasTuner's processes: one alone, or a chief that keeps the trials and workers that run them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from rivals.study import finish
from rivals.task import Task

COMMAND = [sys.executable, "-m", "rivals.tuner"]


def main() -> None:
    """`python -m rivals.chief TASK FOLDER`: run the task's trials."""
    processes = Task.read(Path(sys.argv[1])).processes
    if processes == 1:
        finish([_started({})])
        return
    shared = {"KERASTUNER_ORACLE_IP": "127.0.0.1", "KERASTUNER_ORACLE_PORT": _free_port()}
    names = ("chief", *(f"worker{number}" for number in range(processes)))
    chief, *workers = [_started(shared | {"KERASTUNER_TUNER_ID": name}) for name in names]
    finish(workers)
    chief.terminate()  # by itself it would linger for 20 s
    chief.wait()


def _started(environment: dict[str, str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "rivals.tuner", *sys.argv[1:]]
    return subprocess.Popen(command, env=os.environ | environment)


def _free_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


if __name__ == "__main__":
    main()
