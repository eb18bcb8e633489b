"""The child of a slot: the only process that loads TensorFlow.

It holds patches in memory and compiled models warm, trains folds, and knows neither Optuna nor MLflow.
Started by `search.child_process` as `python -P -m search.child SOCKET PARENT`.
"""

from __future__ import annotations

import ctypes
import math
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from data_prep.problems import InputError
from models.errors import ModelError, OutOfMemory
from search.channel import Channel, ChannelClosedError, Message
from search.deployment.member import members_folder
from search.domains import Value
from search.home import Home
from search.material import prepare
from search.records import TrialConfig
from search.refits.fit import Fit
from search.source_files import source_files, source_hash
from search.study_file import Study
from search.workshop import Workshop

PR_SET_PDEATHSIG = 1  # prctl(2)


def main(descriptor: int, parent: int) -> None:
    """Answer requests until the owner hangs up."""
    _die_with(parent)
    serve_until_closed(socket.socket(fileno=descriptor))


def serve_until_closed(end: socket.socket) -> None:
    """Answer requests that come through one end of a pair of sockets."""
    try:
        _serve(Channel(end))
    except ChannelClosedError:
        return


def _serve(channel: Channel) -> None:
    setup = channel.receive()
    if setup is None:
        return
    try:
        _check_source(setup)
        study, home = Study.from_json(setup["study"]), Home(Path(setup["home"]), Path(setup["cache"]))
        material = prepare(study, home, frozen=True)
        if material.hash != setup["material"]:
            raise InputError("cohort: the cohort changed while the study was running")
        if study.files_hash != setup["files"]:
            raise InputError("a file of an architecture or of weights changed while the study was running")
    except InputError as error:
        channel.send({"kind": "input", "problems": list(error.problems)})
        return
    members = members_folder(home, study.name)
    workshop = Workshop(study, material, home.cache, setup.get("memory_mb"), members)
    while (request := channel.receive()) is not None:
        channel.send({"kind": "started"})
        channel.send(_answer(request, workshop, study, channel))


def _check_source(setup: Message) -> None:
    """Refuse to train by other code than the owner has, which is what was compared with the study's."""
    wanted, found = setup.get("source"), source_hash(source_files())
    if wanted not in (None, found):
        raise InputError(
            f"code: the code changed while the study was running (sha256 {wanted[:12]}, now {found[:12]}), "
            "or PYTHONPATH leads the command to another radsearch than the one that is installed. Start the "
            "same command again, without PYTHONPATH"
        )


def _answer(request: Message, workshop: Workshop, study: Study, channel: Channel) -> Message:
    """The message that ends a request."""
    try:
        if request["kind"] == "probe":
            return {"kind": "probed", "problems": workshop.probe()}
        if request["kind"] == "compose":
            return {"kind": "composed", "asked": workshop.compose(request["settings"], _asker(channel))}
        if request["kind"] == "fit":
            fit, report = Fit.from_json(request["fit"]), _reporter(channel, None, study.training.epochs)
            return {"kind": "fold", "result": workshop.fit(fit, report).to_json()}
        config = TrialConfig(request["settings"], request["seed"])
        report = _reporter(channel, request["seconds_left"], study.training.epochs)
        return {"kind": "fold", "result": workshop.fold(config, request["split"], report).to_json()}
    except InputError as error:
        return {"kind": "input", "problems": list(error.problems)}
    except OverTimeError as error:
        return _failure("over time", error)
    except (OutOfMemory, MemoryError) as error:
        return _failure("out of memory", error)
    except ModelError as error:
        return _failure("failed", error)


class OverTimeError(Exception):
    """The trial's time is up."""


def _asker(channel: Channel) -> Callable[[str, dict[str, Any]], Value]:
    """Has the owner answer for Optuna."""

    def ask(name: str, domain: dict[str, Any]) -> Value:
        channel.send({"kind": "ask", "name": name, "domain": domain})
        reply = channel.receive()
        if reply is None:
            raise ChannelClosedError("the owner gave no answer")
        value: Value = reply["value"]
        return value

    return ask


def _reporter(channel: Channel, seconds: float | None, epochs: int) -> Callable[[Message], None]:
    """Sends the epochs of a fold, and ends the fold at the first one after so many seconds, but the last."""
    deadline = math.inf if seconds is None else time.monotonic() + seconds

    def report(message: Message) -> None:
        if time.monotonic() > deadline and message["epoch"] < epochs:
            raise OverTimeError(f"the fold may take {seconds} s")
        channel.send(message)

    return report


def _failure(cause: str, error: Exception) -> Message:
    message = " ".join(str(error).split())[:2000] or type(error).__name__
    return {"kind": "failure", "cause": cause, "message": message}


def _die_with(parent: int) -> None:
    """Ask the kernel to end this process when the owner dies, which may already have happened."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the owner died before its child was up")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
