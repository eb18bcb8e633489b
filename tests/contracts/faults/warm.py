"""A process with everything imported that forks one `radsearch` command after another, in milliseconds.

Each fork is a process of its own that runs the real command line. Run as `python warm.py`; it takes requests
and gives answers as lines of JSON:

    {"do": "start", "argv": [...], "log": FILE, "child": [PYTHON, ...], "points": {...}, "host": NAME}
        -> {"pid": 12}; a child command gets the socket and the owner's pid after its first arguments; a host
        is the machine that the process takes itself to be on. All but the first two may be null.
    {"do": "wait", "pid": 12, "timeout": 5.0} -> {"code": -9}, null while it runs
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import socket
import sys
import threading
import time
from typing import Any

import alembic.command  # noqa: F401 - this and others: what a run loads when it first needs it
import matplotlib.backends.backend_agg  # noqa: F401
import mlflow.store.artifact.local_artifact_repo
import mlflow.store.tracking.sqlalchemy_store  # noqa: F401
import optuna_dashboard  # noqa: F401
import PIL.Image
import sqlalchemy.dialects.postgresql.psycopg
import sqlalchemy.orm

import search.child_process
import search.commands.doctor
import search.commands.run
import search.commands.worker
import search.supervisor
from search.cli import main as radsearch
from tests.contracts.faults import points
from tests.contracts.faults.victims import prepare_process

Request = dict[str, Any]


def start(request: Request) -> int:
    """Fork the command; returns its pid here, and never returns there."""
    if threading.active_count() > 1:
        raise RuntimeError("a fork wants a process of one thread")
    pid = os.fork()
    if pid:
        return pid
    _become(request)
    try:
        _leave(radsearch(request["argv"]))
    except KeyboardInterrupt:
        _leave(130)


def _leave(code: int) -> None:
    """End as the interpreter does, but for clearing its memory: a fork would have to copy it first."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _become(request: Request) -> None:
    """Turn a fork into what a shell would have started."""
    os.setsid()
    prepare_process()
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    null = os.open(os.devnull, os.O_RDONLY)
    for descriptor, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(descriptor, target)
    command = request.get("child")
    if command:
        search.child_process.child_command = lambda end: [
            *command[:4],
            str(end),
            str(os.getpid()),
            *command[4:],
        ]
    host = request.get("host")
    if host:
        socket.gethostname = lambda: host
    if request.get("points"):
        points.install(**request["points"])


def wait(pid: int, timeout: float) -> int | None:
    """The exit code of a fork, negative for a signal; None while it runs."""
    deadline = time.monotonic() + timeout
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            return None
        time.sleep(0.003)


def serve() -> None:
    """Answer until the other side hangs up."""
    sqlalchemy.orm.configure_mappers()
    PIL.Image.init()
    gc.freeze()
    for line in sys.stdin:
        request = json.loads(line)
        if request["do"] == "start":
            answer: Request = {"pid": start(request)}
        else:
            answer = {"code": wait(request["pid"], request["timeout"])}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve()
