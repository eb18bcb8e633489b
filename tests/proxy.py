"""A network between a program and a server that a test can cut, or have swallow everything."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress


class Proxy:
    """Passes TCP connections on to a port of this machine.

    Args:
        target: The port.

    Attributes:
        port: Where it listens.
        flowing: While this is not set, connections are taken, but nothing is passed on: neither end learns
            anything.
        taken: How many connections there were.
    """

    def __init__(self, target: int) -> None:
        self._target, self.port, self.taken = target, 0, 0
        self.flowing = threading.Event()
        self.flowing.set()
        self._ends: list[socket.socket] = []
        self.reopen()

    def reopen(self) -> None:
        """Take connections again, on the same port."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                return
            self.taken += 1
            self._ends += [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self.flowing.wait()
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Cut all connections and refuse others."""
        self.flowing.set()
        for end in (self._listener, *self._ends):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._ends.clear()
