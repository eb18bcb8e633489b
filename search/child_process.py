"""The owner's handle on its child: the one process of a slot that loads TensorFlow."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from data_prep.problems import InputError
from models.device import child_environment
from search.channel import Channel, ChannelClosedError, Message
from search.domains import Domain, Value, domain_from
from search.errors import TrialFailedError
from search.limits import TrialLimit
from search.oom import oom_kills
from search.placement import Placement
from search.records import FoldResult, TrialConfig

Answer = Callable[[str, Domain], Value]

POLL_SECONDS = 0.2
GRACE_SECONDS = 3.0  # for an epoch to end by itself: a new child costs about 10 s and traces anew
NO_LIMIT = TrialLimit(math.inf, 0.0)
WARM_SHARE = 0.5  # of the memory at which a child is worn out, for networks that it keeps compiled
OWNER_SECONDS = 5.0  # in which an owner hears of the signal that its child died of, if both were sent it
FOLDS_PER_CHILD = 200  # each fit of a network leaves some memory behind in TensorFlow (keras#17458)


def child_command(descriptor: int) -> list[str]:
    """How a child that talks over an inherited socket is started; `-P` keeps a user's modules out."""
    return [sys.executable, "-P", "-m", "search.child", str(descriptor), str(os.getpid())]


class Child:
    """A child process, started at the first fold and thrown away on any crash.

    Args:
        setup: What the child needs to prepare its data, as `search.child` reads it.
        place: Its threads, its GPU, and the memory past which it is worn out.
        log: A file for what it and TensorFlow print.
        stop: When set, a running fold is abandoned.
        leaving: Set when no further fold shall begin; None where only `stop` tells the end.
    """

    def __init__(
        self,
        setup: Message,
        place: Placement,
        log: Path,
        stop: threading.Event,
        leaving: threading.Event | None = None,
    ) -> None:
        self._setup, self._place, self._log, self._stop = setup, place, log, stop
        self._leaving = leaving or stop
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Channel | None = None
        self._folds = 0
        self._oom_kills = 0

    @property
    def pid(self) -> int | None:
        """The child's process number while it lives."""
        return self._process.pid if self._process else None

    def run_fold(
        self,
        config: TrialConfig,
        split: int,
        on_epoch: Callable[[Message], None],
        limit: TrialLimit = NO_LIMIT,
    ) -> FoldResult:
        """Train and score one fold.

        Args:
            config: The trial.
            split: Which split of the fold table.
            on_epoch: Called with each epoch's numbers.
            limit: How long the trial may take. A child that does not end the fold by itself in
                `GRACE_SECONDS` after that, in a long epoch, is killed.

        Raises:
            TrialFailedError: The fold did not finish, with its cause.
            InputError: The cohort cannot be read any more, or is another.
        """
        request = {"settings": dict(config.settings), "seed": config.seed, "split": split}
        seconds_left = limit.left if math.isfinite(limit.left) else None
        reply = self._asked({"kind": "fold", **request, "seconds_left": seconds_left}, on_epoch, limit)
        return self._scored(reply)

    def run_fit(self, fit: Mapping[str, Any]) -> FoldResult:
        """Train and score one fit that is no fold of a trial.

        Args:
            fit: Of `search.refits.fit.Fit.as_json`.

        Raises:
            TrialFailedError: It did not finish, with its cause.
            InputError: The cohort cannot be read any more, or is another.
        """
        return self._scored(self._asked({"kind": "fit", "fit": dict(fit)}, lambda _: None))

    def _scored(self, reply: Message) -> FoldResult:
        """The result in a reply; a child that is worn out is ended."""
        fold = FoldResult.from_json(reply["result"])
        is_network = fold.best_epoch > 0
        if (is_network and self._folds >= FOLDS_PER_CHILD) or fold.memory_mb > self._place.memory_mb:
            self.close()
        return fold

    def compose(
        self, settings: Mapping[str, Value], answer: Answer, limit: TrialLimit = NO_LIMIT
    ) -> dict[str, Value]:
        """Build a trial's hypermodel once, answering what it asks for.

        Args:
            settings: Of the trial so far.
            answer: Called with the name and domain of each hyperparameter, in the order they are asked for.
            limit: How long the trial may take.

        Returns:
            The answers by name.

        Raises:
            TrialFailedError: It cannot be built.
            InputError: The cohort cannot be read any more, or is another.
        """

        def reply(message: Message) -> None:
            value = answer(message["name"], domain_from(message["domain"]))
            self._connected().send({"value": value})

        request = {"kind": "compose", "settings": dict(settings)}
        asked: dict[str, Value] = self._asked(request, reply, limit)["asked"]
        return asked

    def probe(self) -> list[str]:
        """What is wrong with the study's own architectures and weights.

        Raises:
            TrialFailedError: The child died over it.
            InputError: The cohort cannot be read any more, or is another.
        """
        return list(self._asked({"kind": "probe"}, lambda _: None)["problems"])

    def _asked(
        self, request: Message, on_message: Callable[[Message], None], limit: TrialLimit = NO_LIMIT
    ) -> Message:
        """The child's reply to a request; what it sends before goes to `on_message`."""
        try:
            channel = self._connected()
            self._oom_kills = oom_kills()
            channel.send(request)
            reply = self._wait(channel, on_message, limit)
        except ChannelClosedError as error:
            raise self._lost() from error
        except TrialFailedError:
            raise  # a child that ended by itself, or was ended
        except BaseException:
            self.close()  # it waits for an answer that will not come
            raise
        if reply["kind"] == "input":
            self.close()
            raise InputError(reply["problems"])
        self._folds += 1
        if reply["kind"] == "failure":
            if reply["cause"] == "out of memory" or self._folds >= FOLDS_PER_CHILD:
                self.close()
            raise TrialFailedError(reply["cause"], reply["message"])
        return reply

    def close(self) -> None:
        """End the child and its own children at once; it holds nothing that is not booked."""
        if self._channel is not None:
            self._channel.close()
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._process = self._channel = None
        self._folds = 0

    def _connected(self) -> Channel:
        if self._channel is not None:
            return self._channel
        ours, theirs = socket.socketpair()
        self._log.parent.mkdir(parents=True, exist_ok=True)
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                child_command(theirs.fileno()),
                pass_fds=[theirs.fileno()],
                env=environment | child_environment(self._place.threads, self._place.gpu, self._place.inter),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in the terminal is the owner's to handle
            )
        theirs.close()
        self._channel = Channel(ours)
        worn = self._place.memory_mb
        self._channel.send({**self._setup, "memory_mb": WARM_SHARE * worn if math.isfinite(worn) else None})
        return self._channel

    def _wait(self, channel: Channel, on_message: Callable[[Message], None], limit: TrialLimit) -> Message:
        """The reply that ends a request; epochs and questions are passed on as they come."""
        began = math.inf  # the time that a new child takes to get ready is not the trial's
        while True:
            if self._stop.is_set():
                self.close()
                raise TrialFailedError("interrupted", "the study was stopped")
            took = time.monotonic() - began
            if took > limit.left + GRACE_SECONDS:
                self.close()
                raise limit.passed(took)
            message = channel.receive(POLL_SECONDS)
            if message is None:
                continue
            if message["kind"] == "started":
                began = time.monotonic()
            elif message["kind"] in ("epoch", "ask"):
                on_message(message)
            elif message.get("cause") == "over time":
                raise limit.passed(time.monotonic() - began)
            else:
                return message

    def _lost(self) -> TrialFailedError:
        """How the child died: its exit code or signal, and as details the end of its log."""
        process = self._process
        if process is None:
            return TrialFailedError("child lost", "the child process did not start")
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)
        code = process.returncode
        self.close()
        if code == -signal.SIGKILL and oom_kills() > self._oom_kills:
            text = "the kernel killed the child process, as the machine ran out of memory"
            return TrialFailedError("out of memory", text)
        # Never ours. A cluster that clears a node sends it to all that runs, us included. Who sends it to
        # this process alone, as a guard of memory does, would do so again.
        if code == -signal.SIGTERM and self._leaving.wait(OWNER_SECONDS):
            return TrialFailedError("interrupted", "the child process was asked to end")
        how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return TrialFailedError("child lost", f"the child process died ({how})", lines[-1] if lines else "")
