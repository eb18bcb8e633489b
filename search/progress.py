"""What a running study tells whoever watches it."""

from __future__ import annotations

from collections.abc import Mapping

from search.domains import Value


class Listener:
    """Hears the events of a run, from any slot's thread, and ignores them; those who care override.

    Methods must return quickly and never raise.
    """

    def preparing(self, done: int, total: int) -> None:
        """Volumes of `done` of `total` participants were read."""

    def study_opened(self, name: str, asked: int, done: int, best: float | None) -> None:
        """The study was opened with `done` of the `asked` trials finished."""

    def trial_started(self, number: int, settings: Mapping[str, Value], splits: int, finished: int) -> None:
        """A trial starts; `finished` of its `splits` folds were done before."""

    def fold_started(self, number: int, split: int) -> None:
        """A fold starts (0-based)."""

    def epoch(self, number: int, epoch: int, epochs: int, loss: float) -> None:
        """An epoch of the trial's current fold ended (1-based)."""

    def fold_done(self, number: int, split: int, value: float | None) -> None:
        """A fold is booked; `value` is the study's metric over the trial's folds so far."""

    def trial_ended(self, number: int, cause: str, value: float | None, message: str) -> None:
        """A trial ended; `message` says why unless it is complete."""

    def note(self, text: str) -> None:
        """Something else that a user wants to know."""
