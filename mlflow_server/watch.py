"""Whether a running server still answers, and what systemd is told of it.

References:
    systemd documentation, sd_notify(3): one datagram a message, to the socket that NOTIFY_SOCKET names.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from mlflow_server.launch import RunningServer, ServerError

PERIOD_SECONDS = 20.0
ANSWER_SECONDS = 30.0  # 200 clients at once make an answer take 5
PATIENCE_SECONDS = 300.0
TELL_SECONDS = 5.0


class Manager:
    """What started us, if it is systemd and wants to hear from us; else nothing is said.

    Args:
        environment: Of this process.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        name = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + name[1:] if name.startswith("@") else name

    def tell(self, state: str) -> None:
        """Say `READY=1`, `STOPPING=1` or `WATCHDOG=1`; who does not listen misses it."""
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.settimeout(TELL_SECONDS)
            try:
                sender.sendto(state.encode(), self._address)
            except OSError:
                return


class Watch:
    """Asks a server time and again, in a thread of its own, whether it answers.

    Args:
        server: The server.
        manager: Hears of each answer.
        period: Seconds between two questions.
        patience: Seconds without an answer after which the server counts as stuck.
    """

    def __init__(
        self,
        server: RunningServer,
        manager: Manager,
        period: float = PERIOD_SECONDS,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._server, self._manager = server, manager
        self._period, self._patience = period, patience
        self._answered = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, name="watch", daemon=True)

    @contextmanager
    def watching(self) -> Iterator[Watch]:
        """Ask within the block."""
        self._thread.start()
        try:
            yield self
        finally:
            self._ended.set()

    def check(self) -> None:
        """Do nothing while the server runs and answers.

        Raises:
            ServerError: It ended, or is stuck.
        """
        self._server.check()
        silent = time.monotonic() - self._answered
        if silent > self._patience:
            raise ServerError(f"the MLflow server did not answer for {silent:.0f} s; what it said is above")

    def _look(self) -> None:
        while True:
            if self._server.answers(ANSWER_SECONDS):
                self._answered = time.monotonic()
                self._manager.tell("WATCHDOG=1")
            if self._ended.wait(self._period):
                return
