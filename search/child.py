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

from data_prep.problems import InputError
from search.channel import Channel, ChannelClosedError, Message
from search.home import Home
from search.material import prepare
from search.records import TrialConfig
from search.study_file import Study

PR_SET_PDEATHSIG = 1  # prctl(2)


def main(descriptor: int, parent: int) -> None:
    """Answer fold requests until the owner hangs up."""
    _die_with(parent)
    serve_until_closed(socket.socket(fileno=descriptor))


def serve_until_closed(end: socket.socket) -> None:
    """Answer fold requests that come through one end of a pair of sockets."""
    try:
        _serve(Channel(end))
    except ChannelClosedError:
        return


def _serve(channel: Channel) -> None:
    setup = channel.receive()
    if setup is None:
        return
    study = Study.from_json(setup["study"])
    try:
        material = prepare(study, Home(Path(setup["home"])), frozen=True)
        if material.hash != setup["material"]:
            raise InputError("cohort: the cohort changed while the study was running")
    except InputError as error:
        channel.send({"kind": "input", "problems": list(error.problems)})
        return

    from models.errors import ModelError, OutOfMemory
    from models.runtime import configure
    from models.training import Trainer
    from search.fold import run_fold

    try:
        configure(study.training.compute)
    except ModelError as error:
        channel.send({"kind": "input", "problems": [f"training.{error}"]})
        return
    memory_mb = setup.get("memory_mb")
    trainer = Trainer(study.training.compute, math.inf if memory_mb is None else memory_mb)
    while (request := channel.receive()) is not None:
        config = TrialConfig(request["settings"], request["seed"])
        channel.send({"kind": "started"})
        report = _reporter(channel, request["seconds_left"], study.training.epochs)
        try:
            result = run_fold(material, study, config, request["split"], trainer, report)
        except OverTimeError as error:
            channel.send(_failure("over time", error))
        except OutOfMemory as error:
            channel.send(_failure("out of memory", error))
        except ModelError as error:
            channel.send(_failure("failed", error))
        else:
            channel.send({"kind": "fold", "result": result.to_json()})


class OverTimeError(Exception):
    """The trial's time is up."""


def _reporter(channel: Channel, seconds: float | None, epochs: int) -> Callable[[Message], None]:
    """Sends the epochs of a fold, and ends the fold at the first one after so many seconds, but the last."""
    deadline = math.inf if seconds is None else time.monotonic() + seconds

    def report(message: Message) -> None:
        if time.monotonic() > deadline and message["epoch"] < epochs:
            raise OverTimeError(f"the fold may take {seconds} s")
        channel.send(message)

    return report


def _failure(cause: str, error: Exception) -> Message:
    return {"kind": "failure", "cause": cause, "message": " ".join(str(error).split())[:2000]}


def _die_with(parent: int) -> None:
    """Ask the kernel to end this process when the owner dies, which may already have happened."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the owner died before its child was up")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
