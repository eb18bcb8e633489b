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
from contextlib import nullcontext
from dataclasses import dataclass, replace
from http.client import HTTPConnection, HTTPException
from importlib.metadata import entry_points
from pathlib import Path

from mlflow_server.auth_file import write_auth_file
from mlflow_server.config import ServerConfig
from mlflow_server.tables import REFUSED

POLL_SECONDS = 0.1
STOP_SECONDS = 10.0
STDERR = 2


class ServerError(RuntimeError):
    """The tracking server did not start, or is gone."""


class DatabaseRefusedError(ServerError):
    """Its database will not do until somebody changes something."""


@dataclass(frozen=True)
class RunningServer:
    """A server that answers.

    Attributes:
        config: What it serves, with the port it listens on.
        log: What it prints; None where that is standard error.
    """

    config: ServerConfig
    log: Path | None
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
            raise ServerError(f"the MLflow server ended{_place(self.log)}")

    def answers(self, timeout: float) -> bool:
        """Whether it answers within so many seconds."""
        return _answers(self.config, timeout)

    def stop(self) -> None:
        """End it with all its processes; returns when they are gone."""
        _stop(self._guard)


def free_port(preferred: int = 0, host: str = "127.0.0.1") -> int:
    """The preferred port if nobody listens there, else any free one.

    Raises:
        ServerError: The address is none of this machine's, the port is not for us, or none is free.
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
                if error.errno == errno.EACCES:
                    raise ServerError(
                        f"port {port} of {host} takes the right to use ports below 1024"
                    ) from error
                continue
            return int(probe.getsockname()[1])
    raise ServerError(f"no port of {host} is free")


def chosen_port(config: ServerConfig) -> int:
    """The port of a configuration, which nobody listens on; a free one where it leaves the choice.

    Raises:
        ServerError: It is taken, or the address is none of this machine's.
    """
    port = free_port(config.port, config.access.host)
    if config.port not in (0, port):
        raise ServerError(f"port {config.port} of {config.access.host} is taken by another program")
    return port


def start(config: ServerConfig, log: Path | None, timeout: float = 90.0) -> RunningServer:
    """Start a server and wait until it answers.

    It ends with this process, however that ends. The first start on a new database takes longest: MLflow
    creates its tables.

    Args:
        config: What to serve; port 0 becomes a free one.
        log: File that its output is appended to; None leaves it on standard error.
        timeout: Seconds to wait.

    Raises:
        ServerError: The port is taken, or the server ended or did not answer in time; then with the last line
            of its log.
    """
    chosen = replace(config, port=chosen_port(config))
    _check_installed(config.app_name)
    if chosen.accounts is not None and chosen.access.credentials is not None:
        write_auth_file(chosen.accounts, chosen.accounts_uri)
    guard, begin = _launch(chosen, log)
    try:
        what = _await(chosen, guard, timeout)
    except BaseException:
        _stop(guard)
        raise
    if what is not None:
        _stop(guard)
        line = f": {_last_line(log, begin, chosen.secrets)}" if log else ""
        raise ServerError(f"the MLflow server {what}{line}{_place(log)}")
    return RunningServer(chosen, log, guard)


def provide_tables(config: ServerConfig) -> None:
    """Check a server's database and make MLflow's tables in an empty one, with progress on standard error.

    Raises:
        DatabaseRefusedError: It does not let us in, or holds other tables than this MLflow's.
        ServerError: It does not answer.
    """
    done = subprocess.run(
        [sys.executable, "-P", "-m", "mlflow_server.tables"],
        stdout=subprocess.PIPE,
        env=config.environment(os.environ),
        cwd="/",
        text=True,
        check=False,
        start_new_session=True,  # Ctrl-C is for us, and ends it without a traceback
    )
    if done.returncode == 0:
        return
    line = done.stdout.strip() or f"MLflow's tables could not be made (exit code {done.returncode})"
    raise (DatabaseRefusedError if done.returncode == REFUSED else ServerError)(line)


def _await(config: ServerConfig, guard: subprocess.Popen[bytes], timeout: float) -> str | None:
    """Wait until it answers; what it did instead, None where it does."""
    deadline = time.monotonic() + timeout
    while not _answers(config):
        if guard.poll() is not None:
            return "ended"
        if time.monotonic() > deadline:
            return f"did not answer within {timeout:.0f} s"
        time.sleep(POLL_SECONDS)
    return None


def _check_installed(app_name: str) -> None:
    if not entry_points(group="mlflow.app", name=app_name):
        raise ServerError(
            "this installation of radsearch is older than its code; bring it up to date with make install"
        )


def _launch(config: ServerConfig, log: Path | None) -> tuple[subprocess.Popen[bytes], int]:
    """The process, and where in the log its output begins."""
    command = [sys.executable, "-P", "-m", "mlflow_server.guard", *config.command(sys.executable)]
    config.artifacts.mkdir(parents=True, exist_ok=True)
    if log is not None:
        log.parent.mkdir(parents=True, exist_ok=True)
    with nullcontext(STDERR) if log is None else log.open("ab") as output:
        begin = 0 if isinstance(output, int) else output.tell()
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=config.environment(os.environ),
            cwd="/" if log is None else log.parent,
            start_new_session=True,
        )
    return process, begin


def _place(log: Path | None) -> str:
    """Where a reader finds what a server said."""
    return "; what it said is above" if log is None else f" (see {log})"


def _answers(config: ServerConfig, timeout: float = 5.0) -> bool:
    connection = HTTPConnection(config.access.contact, config.port, timeout=timeout)
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
