"""What commands say to the terminal, and what they share in opening a home."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.storages import BaseStorage
from rich.console import Console
from rich.progress import Progress

from data_prep.problems import InputError
from search.home import Home
from search.placement import Placement, note_on, place
from search.results import study_record
from search.saying import say as say
from search.storage import open_to_read

COHORT = {"name", "participants", "biopsies", "positive", "threshold", "excluded"}
FOLDS = {"n", "repeats", "hash"}


@contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on stderr; yields the function that moves it to (done, total)."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)

        def move(done: int, total: int) -> None:
            bar.update(task, description=f"{what} {done} of {total}", completed=done, total=total)

        yield move


def placed(
    workers: int | None, gpus: str | None, slots_per_gpu: int | None, require_gpu: bool
) -> tuple[Placement, ...]:
    """Where a command fits its models, see `search.placement.place`; a terminal is told of it."""
    placements = place(workers, gpus, slots_per_gpu, require_gpu)
    if sys.stderr.isatty():  # elsewhere stderr is for problems, one a line
        for line in note_on(placements, gpus):
            sys.stderr.write(line + "\n")
    return placements


def open_existing(home: Home, url: str | None) -> BaseStorage | None:
    """The storage to read from; None where nothing was written yet. Reading makes and changes no file."""
    return open_to_read(url, home)


def read_record(study: optuna.Study, home: Home, tracking: str | None, judged: bool = True) -> dict[str, Any]:
    """What a study has found, as `search.results.study_record` has it.

    Raises:
        InputError: What the storage holds of it is not what this version writes.
    """
    try:
        record = study_record(study, home, tracking, judged)
        missing = (COHORT - set(record["cohort"] or ())) | (FOLDS - set(record["folds"] or ()))
        if missing:
            raise KeyError(*sorted(missing))
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise InputError(
            f"study {study.study_name!r}: its record in the storage must be one of this version's, but got "
            f"{type(error).__name__}: {error}"
        ) from error
    return record
