"""The command line. This module loads nothing heavy: `radsearch --help` must answer at once."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from search.parser import build_parser

EXIT_INPUT, EXIT_CANNOT_GO_ON, EXIT_INTERRUPTED, EXIT_TERMINATED = 1, 3, 130, 143


class Terminated(BaseException):
    """SIGTERM, where a command has no other way with it: what it was writing is taken back on the way out."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 done; 1 the input is wrong; 3 the study could not go on; 130 stopped by Ctrl-C, 143 by SIGTERM (0
        for a worker: it was asked to leave).
        Wrong usage exits with 2.
    """
    args = build_parser().parse_args(argv)
    try:
        with _terminable():
            code = _run(args)
            sys.stdout.flush()  # a pager that was closed shows here, and not at exit
            return code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except Terminated:
        # A worker that has not begun has nothing to put back, and a cluster may ask it to leave at any time.
        return 0 if args.command == "worker" else EXIT_TERMINATED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # a closed pager is not an error
        return 0


@contextmanager
def _terminable() -> Iterator[None]:
    """Make SIGTERM an exception, as Ctrl-C is one."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, frame: object) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _run(args: argparse.Namespace) -> int:
    from data_prep.problems import InputError
    from search.errors import StudyStoppedError

    try:
        command = importlib.import_module(f"search.commands.{args.command}")
        return int(command.run(args))
    except InputError as error:
        return _complain(error.problems, EXIT_INPUT)
    except StudyStoppedError as error:
        return _complain([str(error)], EXIT_CANNOT_GO_ON)
    except BrokenPipeError:
        raise
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        return _complain([f"{place}{error.strerror or error}"], EXIT_CANNOT_GO_ON)


def _complain(lines: Sequence[str], code: int) -> int:
    from data_prep.problems import one_line

    for line in lines:
        sys.stderr.write(one_line(line) + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
