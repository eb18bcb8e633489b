"""A worker in a process of Ray: the same command line as anywhere, in the process' main thread.

It imports nothing of Ray, and nothing of it is sent over: a node runs what is installed there.
"""

from __future__ import annotations

import os
import socket
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from typing import TextIO

from search.cli import main

LINES = 12  # of what a worker said last, for whoever submitted it


@dataclass(frozen=True)
class End:
    """How a worker ended by itself.

    Attributes:
        code: Its exit code.
        host: Where it ran.
        said: What it said last.
    """

    code: int
    host: str
    said: str


class Echo:
    """A stream that passes on what it gets and keeps the last lines of it.

    Args:
        stream: Gets all of it.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._line = stream, ""
        self._lines: deque[str] = deque(maxlen=LINES)

    def write(self, text: str) -> int:
        """Pass on and keep."""
        *lines, self._line = (self._line + text).split("\n")
        self._lines.extend(line for line in lines if line.strip())
        return self._stream.write(text)

    def flush(self) -> None:
        """Flush the stream."""
        self._stream.flush()

    def isatty(self) -> bool:
        """It is no terminal."""
        return False

    @property
    def said(self) -> str:
        """The last lines."""
        return "\n".join([*self._lines, *filter(None, [self._line.strip()])])


def work(arguments: Sequence[str], environment: Mapping[str, str], cores: int) -> End:
    """Work on a study until no trial is left.

    The environment comes as an argument: what Ray sets up itself, it shows to everybody who can see its
    dashboard, and passwords are in this one.

    Args:
        arguments: What follows `radsearch` on a command line.
        environment: To be set besides.
        cores: How many of the node's cores to use.
    """
    os.environ.update(environment)
    blocks = claim_cores(cores)
    echo = Echo(sys.stderr)
    try:
        with redirect_stderr(echo):
            code = main(arguments)
    except SystemExit as error:  # of wrong usage: Ray would take it for a crash, and start the worker again
        code = error.code if isinstance(error.code, int) else 1
    finally:
        if blocks is not None:
            blocks.close()
    return End(code, socket.gethostname(), echo.said)


def claim_cores(count: int) -> socket.socket | None:
    """Confine this thread, and what it starts, to so many cores that no other worker of the node has.

    Ray counts cores and leaves them to everybody. A block of them is claimed by an abstract socket's name,
    which the kernel gives back when its holder dies; where all are claimed, the cores are shared.

    Returns:
        What holds the claim; None where there is nothing to confine.
    """
    available = sorted(os.sched_getaffinity(0))
    for block in range(len(available) // count if count < len(available) else 0):
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0radsearch-cores-{count}-{block}")
        except OSError:
            claim.close()
            continue
        os.sched_setaffinity(0, available[count * block : count * (block + 1)])
        return claim
    return None
