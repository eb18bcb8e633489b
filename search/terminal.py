"""What commands say to the terminal, and what they share in opening a home."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from optuna.storages import BaseStorage
from rich.console import Console
from rich.progress import Progress

from search.home import Home
from search.storage import open_storage


def say(line: str) -> None:
    """One line on stdout, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


@contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on stderr; yields the function that moves it to (done, total)."""
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)

        def move(done: int, total: int) -> None:
            bar.update(task, description=f"{what} {done} of {total}", completed=done, total=total)

        yield move


def open_existing(home: Home, url: str | None) -> BaseStorage | None:
    """The storage to read from; None where nothing was written yet, so that reading makes no files."""
    if url is None and not home.journal.exists():
        return None
    return open_storage(url, home)
