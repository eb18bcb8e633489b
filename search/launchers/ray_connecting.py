"""Becoming a part of a Ray cluster, and noticing that its head is gone.

Nothing here imports Ray: `search.launchers.ray_cluster` hands it in.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from data_prep.problems import InputError
from models.device import visible_gpus
from search.errors import StudyStoppedError
from search.launchers.request import LaunchRequest, share_of

Ray: TypeAlias = Any  # the module, which is not there unless it is asked for

CLIENT = "ray://"
ADDRESS = re.compile(r"auto|(ray://)?(?P<host>[^\s:/@]+|\[[0-9a-fA-F:]+\]):(?P<port>\d{1,5})")
CONNECT_SECONDS = 10.0
LOOK_SECONDS = 5.0
# After how many seconds Ray ends a process whose cluster has lost its head, with words of its own.
RECONNECT, RECONNECT_SECONDS = "RAY_gcs_rpc_server_reconnect_timeout_s", 60.0
OBJECT_STORE = 80 * 2**20  # bytes; about Ray's least, and workers put nothing into it
QUIET = {"log_to_driver": False, "logging_level": logging.ERROR}


def is_address(text: str) -> bool:
    """Whether it is HOST:PORT, ray://HOST:PORT or auto.

    >>> [is_address(text) for text in ("auto", "ray://head:10001", "[::1]:6379", "head", "head:99999")]
    [True, True, True, False, False]
    """
    match = ADDRESS.fullmatch(text)
    return match is not None and 0 < int(match["port"] or 1) < 2**16


def knock(address: str) -> None:
    """See whether anybody answers at an address, which Ray itself takes minutes for.

    Raises:
        StudyStoppedError: Nobody does.
    """
    match = ADDRESS.fullmatch(address)
    if match is None or match["host"] is None:
        return
    try:
        socket.create_connection((match["host"].strip("[]"), int(match["port"])), CONNECT_SECONDS).close()
    except OSError as error:
        raise gone(address, error) from error


def gone(address: str | None, error: BaseException) -> StudyStoppedError:
    """What is said where a cluster does not answer, or not as one."""
    where = f"at {address}" if address else "of this machine"
    return StudyStoppedError(
        f"--address: the Ray cluster {where} must answer, but: {_reason(error)}. What is finished is kept: "
        "submit again when it is up"
    )


def _reason(error: BaseException) -> str:
    """The words of whatever an error goes back to, in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(getattr(error, "strerror", None) or error).strip().splitlines() or [type(error).__name__]
    # Ray puts whole tracebacks into its texts; what they come to is in the last line.
    return lines["Traceback (" in lines[0] and -1].rstrip(".")


@contextmanager
def connected(ray: Ray, request: LaunchRequest) -> Iterator[None]:
    """Within the block, this process is a part of the cluster; of one of this machine alone, its head.

    Raises:
        InputError: The cluster runs other versions, or wants to be told its token.
        StudyStoppedError: There is no cluster.
    """
    handler = signal.getsignal(signal.SIGTERM)
    # Errors of its removal are no matter: processes of Ray may outlive its end by a moment, and write.
    with tempfile.TemporaryDirectory("", "radsearch-", _short_folder(), ignore_cleanup_errors=True) as folder:
        try:
            # Ray has workers look for modules in the folder where we are, before all others.
            with chdir(request.folder):
                if request.address is None:
                    _start(ray, request, Path(folder))
                else:
                    _join(ray, request.address)
            signal.signal(signal.SIGTERM, handler)  # Ray puts its own there
            yield
        finally:
            ray.shutdown()


def _short_folder() -> str:
    """Where Ray may make sockets, whose paths have 107 characters at most; Ray's own choice."""
    return os.environ.get("RAY_TMPDIR", "/tmp")  # noqa: S108 - a folder of a random name is made there


def _start(ray: Ray, request: LaunchRequest, folder: Path) -> None:
    """Start a cluster of this machine alone; what it writes nobody else can read."""
    try:
        ray.init(
            address="local",
            num_cpus=share_of(request) * request.at_once,
            num_gpus=len(visible_gpus()) if request.gpus else 0,
            object_store_memory=OBJECT_STORE,
            include_dashboard=False,
            _temp_dir=str(folder),
            **QUIET,
        )
    except (RuntimeError, ValueError, OSError, ray.exceptions.RayError) as error:
        raise StudyStoppedError(
            f"--launcher ray: a cluster of this machine could not be started in {folder}: {_reason(error)}"
        ) from error


def _join(ray: Ray, address: str) -> None:
    """Become a part of a cluster that runs."""
    try:
        with _hushed():
            ray.init(address=address, **QUIET)
    except (RuntimeError, ValueError, OSError, ray.exceptions.RayError) as error:
        raise refusal(address, error) from error


def refusal(address: str, error: BaseException) -> InputError | StudyStoppedError:
    """Why a cluster could not be joined.

    Args:
        address: Of the cluster.
        error: What Ray raised.
    """
    told = "".join(traceback.format_exception(error))
    found = [f"{name} {number}" for name, number in re.findall(r"(Ray|Python): (\d\S*)", told)]
    if "Version mismatch" in told and len(found) >= 4:
        theirs, ours = " and ".join(found[:2]), " and ".join(found[2:4])
        return InputError(
            f"--address: the cluster at {address} must run {ours}, as this machine does, but runs {theirs}"
        )
    if "No node info found" in told:
        return InputError(
            f"--address: this machine must be a node of the cluster at {address}, but is none: join it by "
            "`ray start --address=...`, or name its head's client server, ray://HOST:10001"
        )
    if "AuthenticationError" in told:
        return InputError(
            f"--address: the cluster at {address} must be told its token. Set RAY_AUTH_MODE=token, and "
            "RAY_AUTH_TOKEN_PATH to a file that holds it"
        )
    return gone(address, error)


@contextmanager
def _hushed() -> Iterator[None]:
    """Within the block, nothing is written to stderr: Ray's C++ side repeats what it raises anyway."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


class Head:
    """Where the head of a cluster answers.

    Args:
        address: HOST:PORT.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        patience = float(os.environ.get(RECONNECT, RECONNECT_SECONDS))
        self._patience = max(0.0, patience - 4 * LOOK_SECONDS)
        self._answered = time.monotonic()

    def answers(self) -> bool:
        """Whether it answers now; most of what Ray is asked then waits for it.

        Raises:
            StudyStoppedError: It has not answered for so long that Ray would soon end this process.
        """
        host, _, port = self._address.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), LOOK_SECONDS).close()
        except OSError as error:
            if time.monotonic() - self._answered > self._patience:
                raise gone(self._address, error) from error
            return False
        self._answered = time.monotonic()
        return True
