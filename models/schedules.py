"""How the learning rate goes from epoch to epoch, as a factor on the rate at the start."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

from models.spec import TrainingSpec


class Schedule(Protocol):
    """The factor of each epoch, asked for in turn; it may depend on the losses of the epochs before."""

    def factor(self, epoch: int) -> float:
        """The factor on the learning rate in an epoch, 1-based."""
        ...

    def saw(self, loss: float) -> None:
        """Take note of the loss that is watched, after an epoch."""
        ...


class Constant:
    """The same rate throughout."""

    def factor(self, epoch: int) -> float:
        """Always 1."""
        return 1.0

    def saw(self, loss: float) -> None:
        """The loss has no say."""


class Cosine:
    """Half a cosine, from 1 in the first epoch towards 0 after the last.

    References:
        Loshchilov and Hutter 2017, "SGDR", equation 5, without restarts.
    """

    def __init__(self, epochs: int) -> None:
        self._epochs = epochs

    def factor(self, epoch: int) -> float:
        """0.5 (1 + cos(pi (epoch - 1) / epochs)).

        >>> [round(Cosine(4).factor(epoch), 3) for epoch in (1, 2, 3, 4)]
        [1.0, 0.854, 0.5, 0.146]
        """
        return 0.5 * (1 + math.cos(math.pi * (epoch - 1) / self._epochs))

    def saw(self, loss: float) -> None:
        """The loss has no say."""


class Plateau:
    """Falls by a factor after so many epochs without a better loss, and again after as many more.

    What `keras.callbacks.ReduceLROnPlateau` does without a least improvement, cooldown or least rate.
    """

    def __init__(self, factor: float, patience: int) -> None:
        self._each, self._patience = factor, patience
        self._now, self._best, self._waited = 1.0, math.inf, 0

    def factor(self, epoch: int) -> float:
        """The factor after the losses seen so far."""
        return self._now

    def saw(self, loss: float) -> None:
        """Count the epochs without a better loss."""
        if loss < self._best:
            self._best, self._waited = loss, 0
            return
        self._waited += 1
        if self._waited >= self._patience:
            self._now, self._waited = self._now * self._each, 0


_MAKERS: dict[str, Callable[[TrainingSpec], Schedule]] = {
    "constant": lambda spec: Constant(),
    "cosine": lambda spec: Cosine(spec.epochs),
    "plateau": lambda spec: Plateau(spec.plateau_factor, spec.plateau_patience),
}


def make_schedule(spec: TrainingSpec) -> Schedule:
    """A new schedule, before its first epoch."""
    return _MAKERS[spec.schedule](spec)
