"""Which trials have ended since somebody last looked, so that nobody looks at all of them again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from optuna.trial import FrozenTrial


class News(NamedTuple):
    """The trials of a study that were not known to have ended.

    Attributes:
        ended: Those that have ended since.
        others: Those that have not.
    """

    ended: list[FrozenTrial]
    others: list[FrozenTrial]


class Reader:
    """Tells each trial that has ended once; trials that have ended change no more."""

    def __init__(self) -> None:
        self._told: set[int] = set()  # numbers, from the mark on
        self._mark = 0  # all before it are told

    def news(self, trials: Sequence[FrozenTrial]) -> News:
        """What is new.

        Args:
            trials: All trials of the study, by number.
        """
        found = News([], [])
        for trial in trials[self._mark :]:
            if trial.number not in self._told:
                (found.ended if trial.state.is_finished() else found.others).append(trial)
        self._told |= {trial.number for trial in found.ended}
        while self._mark in self._told:
            self._told.remove(self._mark)
            self._mark += 1
        return found
