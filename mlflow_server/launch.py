"""Starts an MLflow server, waits until it answers, and stops it; it never outlives its starter."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from http.client import HTTPConnection, HTTPException
from importlib.metadata import entry_points
from pathlib import Path

from mlflow_server.auth_file import write_auth_file
from mlflow_server.config import ServerConfig

POLL_SECONDS = 0.1
STOP_SECONDS = 10.0


class ServerError(RuntimeError):
    """The tracking server did not start, or is gone."""


@dataclass(frozen=True)
class RunningServer:
    """A server that answers.

    Attributes:
        config: What it serves, with the port it listens on.
        log: What it prints.
    """

    config: ServerConfig
    log: Path
    _guard: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """Its address."""
        return self.config.url

    def check(self) -> None:
        """Do nothing while it runs.

        Raises:
            ServerError: It ended.
        """
        if self._guard.poll() is not None:
            raise ServerError(f"the MLflow server ended (see {self.log})")

    def stop(self) -> None:
        """End it with all its processes; returns when they are gone."""
        _stop(self._guard)


def free_port(preferred: int = 0, host: str = "127.0.0.1") -> int:
    """The preferred port if nobody listens there, else any free one.

    Raises:
        ServerError: The address is none of this machine's, or no port of it is free.
    """
    for port in (preferred, 0):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            # As servers do: a port whose last connections are still fading out counts as free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                if error.errno == errno.EADDRNOTAVAIL:
                    raise ServerError(f"{host} is no address of this machine") from error
                continue
            return int(probe.getsockname()[1])
    raise ServerError(f"no port of {host} is free")


def start(config: ServerConfig, log: Path, timeout: float = 90.0) -> RunningServer:
    """Start a server and wait until it answers.

    It ends with this process, however that ends. The first start on a new database takes longest: MLflow
    creates its tables.

    Args:
        config: What to serve; port 0 becomes a free one.
        log: File that its output is appended to.
        timeout: Seconds to wait.

    Raises:
        ServerError: The port is taken, or the server ended or did not answer in time; then with the last line
            of its output.
    """
    host = config.access.host
    chosen = replace(config, port=free_port(config.port, host))
    if config.port not in (0, chosen.port):
        raise ServerError(f"port {config.port} of {host} is taken by another program")
    _check_installed(config.app_name)
    if chosen.accounts is not None and chosen.access.credentials is not None:
        write_auth_file(chosen.accounts)
    guard, begin = _launch(chosen, log)
    deadline = time.monotonic() + timeout
    while not _answers(chosen):
        ended = guard.poll() is not None
        if ended or time.monotonic() > deadline:
            _stop(guard)
            what = "ended" if ended else f"did not answer within {timeout:.0f} s"
            line = _last_line(log, begin, chosen.secrets)
            raise ServerError(f"the MLflow server {what}: {line} (see {log})")
        time.sleep(POLL_SECONDS)
    return RunningServer(chosen, log, guard)


def _check_installed(app_name: str) -> None:
    if not entry_points(group="mlflow.app", name=app_name):
        raise ServerError(
            "this installation of radsearch is older than its code; bring it up to date with make install"
        )


def _launch(config: ServerConfig, log: Path) -> tuple[subprocess.Popen[bytes], int]:
    """The process, and where in the log its output begins."""
    command = [sys.executable, "-P", "-m", "mlflow_server.guard", *config.command(sys.executable)]
    log.parent.mkdir(parents=True, exist_ok=True)
    config.artifacts.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        begin = output.tell()
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=config.environment(os.environ),
            cwd=log.parent,
            start_new_session=True,
        )
    return process, begin


def _answers(config: ServerConfig) -> bool:
    connection = HTTPConnection(config.access.contact, config.port, timeout=5.0)
    try:
        connection.request("GET", "/health", headers={"Host": config.access.hosts[0]})
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _stop(guard: subprocess.Popen[bytes]) -> None:
    if guard.stdin is not None:
        guard.stdin.close()
    try:
        guard.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(guard.pid, signal.SIGKILL)
        guard.wait()


def _last_line(log: Path, begin: int, secrets: Sequence[str]) -> str:
    lines = log.read_bytes()[begin:].decode(errors="replace").split("\n")
    told = [line.strip() for line in lines if line.strip() and " INFO" not in line]
    line = told[-1] if told else "it printed nothing"
    for secret in secrets:
        line = line.replace(secret, "***")
    return line
