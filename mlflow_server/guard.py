"""Runs a command that must not outlive whoever started it: `python -m mlflow_server.guard COMMAND ...`.

The starter holds the other end of standard input. When that closes, because the starter wants it or because
it died in whatever way, the command and everything it started are ended. The guard must lead a process group.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

GRACE_SECONDS = 5.0


def main(command: list[str]) -> None:
    """Run the command to its end or to that of standard input, then end the whole group, this one included.

    Raises:
        OSError: The command cannot be started.
    """
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    threading.Thread(target=_end_with_input, args=(child,), daemon=True).start()
    child.wait()
    os.killpg(os.getpid(), signal.SIGKILL)


def _end_with_input(child: subprocess.Popen[bytes]) -> None:
    sys.stdin.buffer.read()
    child.terminate()
    try:
        child.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1:])
