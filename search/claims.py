"""Handing out trials: never more than asked for, each sampled from a seed of its own."""

from __future__ import annotations

import threading

import numpy as np
import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from search.code_identity import stop_if_outdated
from search.heartbeat import Pulse
from search.hindsight import SlotStudy
from search.limits import StudyLimit
from search.line import Line
from search.owner import Owner
from search.patient import StorageAwayError, glance
from search.sections import SearchSection
from search.storage import make_sampler
from search.study_lock import Lock, locked

ASKED = "asked"  # the user attribute of a study: how many trials its last start asked for


class Claims:
    """Hands out a study's trials to the slots of one process, one slot at a time.

    The sampler is seeded anew for each trial, from the study's seed and the trial's place in line. A study
    that was interrupted and continued therefore samples what it would have sampled undisturbed, and two
    slots never draw the same numbers.

    Args:
        search: How many trials, which sampler, which seed.
        slots: How many slots of this process ask.
        study_lock: The study's lock of whoever hands trials out, fails or copies them: under it a trial that
            runs has its owner, and no two processes count before the other has asked.
        limit: Refuses trials for which no time is left; None for no limit.
        pulse: Gives signs of life for what is handed out; None for none.

    Attributes:
        lock: Held while trials are counted; hold it to keep them from being counted half-way.
        all_handed_out: Whether the last call found no trial for that reason, and not for want of time.
    """

    def __init__(
        self,
        search: SearchSection,
        slots: int,
        study_lock: Lock,
        limit: StudyLimit | None = None,
        pulse: Pulse | None = None,
    ) -> None:
        self._search, self._slots, self._limit, self._study_lock = search, slots, limit, study_lock
        self._pulse, self._line = pulse, Line()
        self.lock = threading.Lock()
        self.all_handed_out = False

    def __call__(self, study: SlotStudy) -> optuna.Trial | None:
        """The next trial: one that waits, else a new one; None when enough were handed out or time is short.

        A lost trial's copy is owed even then: it is one of those that were asked for. A trial that waits for
        an architecture which a later start added to the study is left to that one.

        How many are asked for is looked up each time: a later start may ask for more, or for less.

        Raises:
            StudyStoppedError: The study goes on by other code.
        """
        taken: list[tuple[optuna.Trial, int]] = []
        try:
            with self.lock:
                claimed = locked(self._study_lock, lambda: self._resumed(taken) or self._claim(study, taken))
            if claimed is None:
                return None
            trial, place = claimed
            trial.set_user_attr("place", place)
        except StorageAwayError:
            self._release_all(taken)
            raise
        except UpdateFinishedTrialError:  # this process stood still for so long that it was taken for dead
            self._release_all(taken)
            return self(study)
        return trial

    def _resumed(self, taken: list[tuple[optuna.Trial, int]]) -> tuple[optuna.Trial, int] | None:
        """What was taken before the database went away, unless somebody found it without an owner since."""
        if not taken:
            return None
        try:
            self._sign(taken[0][0])
        except UpdateFinishedTrialError:
            self._release_all(taken)
            return None
        return taken[0]

    def _claim(
        self, study: SlotStudy, taken: list[tuple[optuna.Trial, int]]
    ) -> tuple[optuna.Trial, int] | None:
        """A trial and its place in line; what is not needed to tell them apart is left for later."""
        timed = self._limit is not None and self._limit.is_set  # then running trials' folds tell the pace
        trials = study.get_trials(deepcopy=False) if timed else glance(study, TrialState.WAITING)
        booked, line = study.user_attrs, self._line
        stop_if_outdated(study.study_name, booked)
        line.update(trials)
        enough = booked.get(ASKED, self._search.trials)
        self.all_handed_out = not line.is_owed and line.handed_out >= enough
        if self.all_handed_out:
            return None
        if self._limit is not None and not self._limit.allows(trials):
            return None
        if line.following is not None and study.is_foreign(line.following):
            return None
        place = line.place
        sampler = make_sampler(self._search, self._slots, trial_seed(self._search.seed, place))
        trial = study.take(line.waiting, booked, sampler)
        taken.append((trial, place))
        self._sign(trial)
        return trial, place

    def _sign(self, trial: optuna.Trial) -> None:
        """In this order: what has an owner has given a sign of life, also to other machines."""
        if self._pulse is not None:
            self._pulse.add(trial._trial_id)
        trial.set_user_attr("owner", str(Owner.of()))

    def _release_all(self, taken: list[tuple[optuna.Trial, int]]) -> None:
        while taken:
            self.release(taken.pop()[0])

    def release(self, trial: optuna.Trial) -> None:
        """Give no more signs of life for a trial that was handed out."""
        if self._pulse is not None:
            self._pulse.remove(trial._trial_id)


def trial_seed(study_seed: int, place: int) -> int:
    """The seed of the trial at one place in line, in [0, 2**32)."""
    return int(np.random.SeedSequence([study_seed, place]).generate_state(1)[0])
