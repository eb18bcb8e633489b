"""Who stays when no trial is left to begin: one worker of a cluster, until the others' trials have ended.

Should a worker die in the last trials of a study, there would be nobody to take them up.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import optuna
from optuna.trial import TrialState
from sqlalchemy.exc import SQLAlchemyError

from search.owner import Owner
from search.study_lock import DatabaseLock

LOOK_SECONDS = 5.0


class Caretaker:
    """Keeps at most one process waiting for the trials of others.

    Args:
        study: The study.
        lock: Held by the process that stays; None for a storage of one machine, where nobody stays.
        is_ending: Whether this process is to end in any case.
    """

    def __init__(self, study: optuna.Study, lock: DatabaseLock | None, is_ending: Callable[[], bool]) -> None:
        self._study, self._lock, self._is_ending = study, lock, is_ending
        self._asking = threading.Lock()

    def stay(self) -> bool:
        """Wait a while if it is on us; returns whether a trial may be asked for once more."""
        if self._lock is None or self._is_ending() or not self._others_run():
            return False
        if not self._is_appointed(self._lock):
            return False
        paused = threading.Event()
        for _ in range(int(LOOK_SECONDS * 10)):
            if self._is_ending():
                return False
            paused.wait(0.1)
        return True

    def _is_appointed(self, lock: DatabaseLock) -> bool:
        """One slot of one process is; where the database is away, that is seen when it is back."""
        with self._asking:
            try:
                return lock.try_for_good()
            except SQLAlchemyError:
                return True

    def _others_run(self) -> bool:
        running = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        me = str(Owner.of())
        return any(trial.user_attrs.get("owner") != me for trial in running)

    def close(self) -> None:
        """Give the lock back."""
        if self._lock is not None:
            self._lock.let_go()
