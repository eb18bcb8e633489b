"""The two limits of time: a trial may take so long, and a study starts no trial that it can't finish."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from search.booking import finished_folds, key_of, settings_of
from search.errors import TrialFailedError
from search.feasible import logical_name
from search.news import Reader
from search.records import FoldResult

CAUTION = 0.9  # the quantile of earlier trials' pace that a new one is expected to keep


@dataclass(frozen=True)
class TrialLimit:
    """How long a trial may take, counted over its folds, those of earlier attempts included.

    Attributes:
        seconds: In all.
        spent: By the folds that are booked.
    """

    seconds: float
    spent: float

    @classmethod
    def of(cls, seconds: float | None, folds: Iterable[FoldResult]) -> TrialLimit:
        """The limit of a trial with these finished folds; None is no limit."""
        return cls(math.inf if seconds is None else seconds, sum(fold.seconds for fold in folds))

    @property
    def left(self) -> float:
        """Seconds that the next fold may take; 0 or less when the limit is reached."""
        return self.seconds - self.spent

    def passed(self, more: float = 0.0) -> TrialFailedError:
        """How a trial ends that was stopped `more` seconds into a fold."""
        text = f"a trial may take {self.seconds:g} s (search.trial_timeout), but this one was stopped after"
        return TrialFailedError("over time", f"{text} {self.spent + more:.1f} s")


class StudyLimit:
    """Lets a trial start only if it is expected to end before the study's time is up.

    The pace of a trial is its mean seconds a fold; a new one is expected to keep the `CAUTION` quantile of
    the paces so far, of its own architecture where that is known before it is sampled (a trial that waits)
    and was seen, else of all, for each fold that it lacks. Without any finished fold nothing is known, and
    trials start.

    Args:
        timeout: The study's seconds, from now on; None for no limit.
        splits: Folds a trial.
        trial_timeout: Seconds after which a trial is stopped; None for no limit.
        tell: Called once, with a line for the user, when the first trial is not started.
    """

    def __init__(
        self, timeout: float | None, splits: int, trial_timeout: float | None, tell: Callable[[str], None]
    ) -> None:
        self._timeout, self._splits, self._trial_timeout, self._tell = timeout, splits, trial_timeout, tell
        self._started = time.monotonic()
        self._reader = Reader()
        self._pace: dict[str | None, dict[int, float]] = {}  # by architecture and key
        self._told = False

    @property
    def is_set(self) -> bool:
        """Whether there is a limit at all."""
        return self._timeout is not None

    def allows(self, trials: Sequence[FrozenTrial]) -> bool:
        """Whether the next trial may start, which is the first that waits, else a new one."""
        if self._timeout is None:
            return True
        expected = self._expected(trials)
        left = self._timeout - (time.monotonic() - self._started)
        if expected is None or expected <= left:
            return True
        if not self._told:
            self._told = True
            self._tell(
                f"no further trial is started: one is expected to take {expected:.1f} s, "
                f"and {max(0.0, left):.1f} s are left of the time limit of {self._timeout:g} s"
            )
        return False

    def _expected(self, trials: Sequence[FrozenTrial]) -> float | None:
        """Seconds that the next trial takes; None while no fold of the study is finished."""
        waiting = (trial for trial in trials if trial.state == TrialState.WAITING)
        following = min(waiting, key=lambda trial: trial.number, default=None)
        paces = self._paces(trials)
        known = paces.get(_architecture(following)) or [pace for some in paces.values() for pace in some]
        if not known:
            return None
        done = {} if following is None else finished_folds(following)
        pace = float(np.quantile(known, CAUTION, method="higher"))
        longest = TrialLimit.of(self._trial_timeout, done.values()).left
        return min((self._splits - len(done)) * pace, longest)

    def _paces(self, trials: Sequence[FrozenTrial]) -> Mapping[str | None, list[float]]:
        """Mean seconds a fold of each trial that finished one, by architecture; a copy is no other trial.

        Folds are read once: a study of 500 trials has 2500, each with a probability for every biopsy.
        """
        for trial in chain(*self._reader.news(trials)):
            seconds = [fold.seconds for fold in finished_folds(trial).values()]
            if seconds:
                self._pace.setdefault(_architecture(trial), {})[key_of(trial)] = float(np.mean(seconds))
        return {architecture: list(of_trials.values()) for architecture, of_trials in self._pace.items()}


def _architecture(trial: FrozenTrial | None) -> str | None:
    """The trial's architecture, None where it is not sampled yet."""
    if trial is None:
        return None
    fixed = trial.system_attrs.get("fixed_params", {})
    settings = settings_of(trial) | {logical_name(name): value for name, value in fixed.items()}
    return str(settings["architecture"]) if "architecture" in settings else None
