"""Where a study stands: how many of its trials were handed out, and which comes next."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence

from optuna.trial import FrozenTrial, TrialState

from search.booking import counts, key_of
from search.news import Reader


class Line:
    """The trials of a study in the order in which they are handed out; each that has ended is counted once.

    Attributes:
        handed_out: How many count as those asked for, see `search.booking.counts`.
        waiting: Those that wait, the next one first.
        is_owed: Whether a copy of a lost trial is among them.
        length: How many trials there are, with those that wait and those that were replaced.
    """

    def __init__(self) -> None:
        self._reader = Reader()
        self._ended, self._copies = 0, list[int]()  # how many count; numbers of copies that have ended
        self.handed_out = self.length = 0
        self.waiting: list[FrozenTrial] = []
        self.is_owed = False
        self._all_copies: list[int] = []

    def update(self, trials: Sequence[FrozenTrial]) -> None:
        """Take in what is new.

        Args:
            trials: All trials of the study, by number.
        """
        news = self._reader.news(trials)
        for trial in news.ended:
            self._ended += counts(trial)
            if "retry_of" in trial.user_attrs:
                insort(self._copies, trial.number)
        self.length = len(trials)
        self.handed_out = self._ended + sum(map(counts, news.others))
        self.waiting = [trial for trial in news.others if trial.state == TrialState.WAITING]
        copies = [trial for trial in news.others if "retry_of" in trial.user_attrs]
        self.is_owed = any(trial.state == TrialState.WAITING for trial in copies)
        self._all_copies = sorted([*self._copies, *(trial.number for trial in copies)])

    @property
    def following(self) -> FrozenTrial | None:
        """The trial that is handed out next; None for one that is yet to be made."""
        return self.waiting[0] if self.waiting else None

    @property
    def place(self) -> int:
        """The place in line of the next trial, see `search.booking.place_in_line`."""
        following = self.following
        if following is not None and "place" in following.user_attrs:
            return int(following.user_attrs["place"])
        number = self.length if following is None else key_of(following)
        return number - bisect_left(self._all_copies, number)
