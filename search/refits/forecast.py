"""How long fits will take, and how far they are."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import optuna

from search.booking import finished_folds, settings_of
from search.cli import Terminated
from search.records import TrialConfig
from search.terminal import counting

EVERY = 30.0  # seconds between two lines where there is no terminal


def pace_of(study: optuna.Study) -> dict[str, float]:
    """Mean seconds of a finished fold of a study's trials, by architecture."""
    seconds: dict[str, list[float]] = {}
    for trial in study.get_trials(deepcopy=False):
        for fold in finished_folds(trial).values():
            seconds.setdefault(str(settings_of(trial)["architecture"]), []).append(fold.seconds)
    return {name: float(np.mean(values)) for name, values in seconds.items()}


def seconds_of(configs: Iterable[TrialConfig], pace: dict[str, float]) -> float | None:
    """Mean seconds of a fit of these, by the architectures that were timed; None where none was."""
    timed = [pace[name] for config in configs if (name := str(config.settings["architecture"])) in pace]
    return float(np.mean(timed)) if timed else None


def forecast(fits: int, kept: int, seconds: float | None, workers: int) -> str:
    """What is to come, in words.

    Args:
        fits: How many in all.
        kept: How many of them were run before.
        seconds: Of one; None where nothing is known.
        workers: How many run side by side.

    >>> forecast(20000, 100, 0.25, 2)
    '20,000 fits, 100 of them kept from before; training alone takes about 41 min with 2 processes'
    """
    of_before = f", {kept:,} of them kept from before" if kept else ""
    processes = f"{workers} process" + ("" if workers == 1 else "es")
    if seconds is None:
        return f"{fits:,} fits{of_before}, with {processes}"
    left = duration((fits - kept) * seconds / workers)
    return f"{fits:,} fits{of_before}; training alone takes about {left} with {processes}"


def duration(seconds: float) -> str:
    """A time in its largest unit.

    >>> duration(3.2), duration(600), duration(9000)
    ('3 s', '10 min', '2.5 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


@contextmanager
def fits_counted(what: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar; where there is no terminal, a line on stderr every half minute."""
    try:
        with counting(what) as move:
            yield move if sys.stderr.isatty() else _Lines(what)
    except (KeyboardInterrupt, Terminated):
        _tell("stopped; what is finished is kept, and the same command goes on there")
        raise


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


class _Lines:
    def __init__(self, what: str) -> None:
        self._what, self._began, self._told = what, time.monotonic(), time.monotonic()
        self._first: int | None = None

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        self._first = done if self._first is None else self._first
        if now - self._told >= EVERY and done > self._first:
            self._told = now
            left = (now - self._began) / (done - self._first) * (total - done)
            _tell(f"{self._what} {done:,} of {total:,}, about {duration(left)} left")
