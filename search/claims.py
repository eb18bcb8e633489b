"""Handing out trials: never more than asked for, each sampled from a seed of its own."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from search.booking import counts, exclusive, place_in_line
from search.hindsight import SlotStudy
from search.limits import StudyLimit
from search.owner import Owner
from search.sections import SearchSection
from search.storage import make_sampler


class Claims:
    """Hands out a study's trials to the slots of one process, one slot at a time.

    The sampler is seeded anew for each trial, from the study's seed and the trial's place in line. A study
    that was interrupted and continued therefore samples what it would have sampled undisturbed, and two
    slots never draw the same numbers.

    Args:
        search: How many trials, which sampler, which seed.
        slots: How many slots of this process ask.
        reaper_lock: The home's lock of whoever hands trials out, fails or copies them: under it a trial that
            runs has its owner, and no two processes of one home count before the other has asked.
        limit: Refuses trials for which no time is left; None for no limit.

    Attributes:
        lock: Held while trials are counted; hold it to keep them from being counted half-way.
    """

    def __init__(
        self, search: SearchSection, slots: int, reaper_lock: Path, limit: StudyLimit | None = None
    ) -> None:
        self._search, self._slots, self._limit, self._reaper_lock = search, slots, limit, reaper_lock
        self.lock = threading.Lock()

    def __call__(self, study: optuna.Study) -> optuna.Trial | None:
        """The next trial: one that waits, else a new one; None when enough were handed out or time is short.

        A lost trial's copy is owed even then: it is one of those that were asked for. A trial that waits for
        an architecture which a later start added to the study is left to that one.

        Processes of several homes on one study may together hand out a trial too many each, as they do not
        wait for each other between counting and asking.
        """
        with self.lock, exclusive(self._reaper_lock):
            trials = study.get_trials(deepcopy=False)
            owed = any(
                trial.state == TrialState.WAITING and "retry_of" in trial.user_attrs for trial in trials
            )
            if not owed and sum(map(counts, trials)) >= self._search.trials:
                return None
            if self._limit is not None and not self._limit.allows(trials):
                return None
            if _is_foreign(study, trials):
                return None
            seed = trial_seed(self._search.seed, place_in_line(trials))
            study.sampler = make_sampler(self._search, self._slots, seed)
            trial = study.ask()
            trial.set_user_attr("owner", str(Owner.of()))
            return trial


def _is_foreign(study: optuna.Study, trials: Sequence[FrozenTrial]) -> bool:
    """Whether the trial that comes next needs what this process does not know."""
    waiting = (trial for trial in trials if trial.state == TrialState.WAITING)
    following = min(waiting, key=lambda trial: trial.number, default=None)
    return following is not None and isinstance(study, SlotStudy) and study.is_foreign(following)


def trial_seed(study_seed: int, place: int) -> int:
    """The seed of the trial at one place in line, in [0, 2**32)."""
    return int(np.random.SeedSequence([study_seed, place]).generate_state(1)[0])
