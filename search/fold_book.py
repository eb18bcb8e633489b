"""Booking a trial's folds as they are finished, also while the database is away."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, TypeAlias

import optuna
from optuna.exceptions import UpdateFinishedTrialError

from search.booking import book_fold, key_of
from search.patient import StorageAwayError, hastily
from search.records import FoldResult
from search.study_lock import Lock
from search.unbooked import Booked, UnbookedFile

Tell: TypeAlias = Callable[[str], None]


class Step(NamedTuple):
    """A value that a trial reports: the metric over its folds up to a split."""

    split: int
    value: float


class FoldBook:
    """Books the folds of one trial and reports its values, in order.

    While the database is away, finished folds are written to a file of this machine and training goes on:
    each call tries the database once. All of it is delivered when the database is back, at the latest
    before the trial ends. A process that dies before leaves the file to `search.unbooked.adopt`.

    Args:
        trial: The trial.
        study_id: Its study, as `search.opening.study_id` names it.
        folder: Where such files lie.
        lock: The study's lock.
        booked: Called with the trial's key and each fold that the database has.
        tell: Gets a line when folds that waited are booked.
    """

    def __init__(
        self, trial: optuna.Trial, study_id: str, folder: Path, lock: Lock, booked: Booked, tell: Tell
    ) -> None:
        self.trial = trial
        self._study_id, self._folder, self._lock = study_id, folder, lock
        self._booked, self._tell = booked, tell
        self._waiting: deque[FoldResult | Step] = deque()
        self._file: UnbookedFile | None = None

    def add(self, split: int, value: float | None, fold: FoldResult | None = None) -> None:
        """Book a fold and report the trial's value; on return both are in the database or the fold on disk.

        Args:
            split: The split of the fold.
            value: The metric over all folds so far; None where it is undefined, or reported already.
            fold: The fold; None for one that is booked.

        Raises:
            UpdateFinishedTrialError: Somebody else ended the trial; the fold goes to the copy that waits.
            OSError: The database is away, and the disk refused it.
        """
        self._waiting += [] if fold is None else [fold]
        self._waiting += [] if value is None else [Step(split, value)]
        if self._file is not None:
            self._keep()
        try:
            with hastily(self.trial.storage):
                self._deliver()
        except StorageAwayError:
            self._keep()
        except UpdateFinishedTrialError:
            self._hand_over()
            raise

    def should_prune(self) -> bool:
        """Whether the pruner stops the trial here; not while the database is away."""
        try:
            with hastily(self.trial.storage):
                return not self._waiting and self.trial.should_prune()
        except StorageAwayError:
            return False

    def deliver(self) -> None:
        """Wait until the database has everything.

        Raises:
            UpdateFinishedTrialError: Somebody else ended the trial; its folds go to the copy that waits.
            StorageAwayError: It is waited for no longer.
        """
        try:
            self._deliver()
        except UpdateFinishedTrialError:
            self._hand_over()
            raise

    def leave(self) -> None:
        """Note that the process goes while the database is away: it is no fault of the trial."""
        with suppress(OSError):  # then it counts as one whose process died
            self._opened().note_leaving()

    def close(self) -> None:
        """Leave what is not delivered to whoever works with this home next."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _deliver(self) -> None:
        count = sum(isinstance(item, FoldResult) for item in self._waiting)
        while self._waiting:
            self._hand_in(self._waiting[0])
            self._waiting.popleft()
        if self._file is not None:
            self._file.discard()
            self._file = None
            self._tell(f"trial {self.trial.number}: the database has the {count} folds that waited for it")

    def _hand_in(self, item: FoldResult | Step) -> None:
        if isinstance(item, Step):
            self.trial.report(item.value, step=item.split)
        else:
            book_fold(self.trial, item)
            self._booked(key_of(self.trial), item)

    def _keep(self) -> None:
        """Write what waits to the disk, as far as it is not there."""
        folds = [item for item in self._waiting if isinstance(item, FoldResult)]
        if folds:
            self._opened().keep(folds)

    def _opened(self) -> UnbookedFile:
        if self._file is None:
            self._file = UnbookedFile(self._folder, self._study_id, self.trial.number)
        return self._file

    def _hand_over(self) -> None:
        """Give the folds to the copy of a trial that somebody else took for lost."""
        self._keep()
        if self._file is not None:
            self._file.settle(self.trial.study, self._lock, self._booked)
            self.close()
