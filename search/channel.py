"""Messages between an owner and its child: one JSON object a line over a socket, nothing pickled."""

from __future__ import annotations

import json
import socket
from typing import Any

Message = dict[str, Any]


class ChannelClosedError(ConnectionError):
    """The other side is gone."""


class Channel:
    """One end of the conversation."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._pending = b""

    def send(self, message: Message) -> None:
        """Send one message.

        Raises:
            ChannelClosedError: Nobody reads any more.
        """
        try:
            self._socket.settimeout(None)
            self._socket.sendall(json.dumps(message, allow_nan=False).encode() + b"\n")
        except OSError as error:
            raise ChannelClosedError("the other side is gone") from error

    def receive(self, timeout: float | None = None) -> Message | None:
        """Wait for one message.

        Args:
            timeout: Seconds to wait; None waits for good.

        Returns:
            The message, or None when none came in time.

        Raises:
            ChannelClosedError: The other side is gone.
        """
        self._socket.settimeout(timeout)
        while b"\n" not in self._pending:
            try:
                part = self._socket.recv(1 << 16)
            except TimeoutError:
                return None
            except OSError as error:
                raise ChannelClosedError("the other side is gone") from error
            if not part:
                raise ChannelClosedError("the other side is gone")
            self._pending += part
        line, _, self._pending = self._pending.partition(b"\n")
        message: Message = json.loads(line)
        return message

    def close(self) -> None:
        """Hang up."""
        self._socket.close()
