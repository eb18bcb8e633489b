"""The sign of life that a process gives for its trials, by which other machines know that it lives."""

from __future__ import annotations

import threading
from contextlib import suppress

import optuna
from optuna.storages import BaseStorage

from search.patient import BEATS, PatientStorage, hastily

GRACE = "grace"  # the study's attribute: seconds without a sign of life after which a trial is lost
GRACE_SECONDS = 300.0


def grace_of(study: optuna.Study) -> float:
    """Seconds after which a trial of whose process nothing was heard is lost."""
    return float(study.user_attrs.get(GRACE, GRACE_SECONDS))


def stale_trials(study: optuna.Study) -> set[int]:
    """The running trials whose process is gone, by id; see `PatientStorage`.

    A storage of one machine knows its processes by their numbers, and needs no sign of life.
    """
    storage = study._storage
    if not isinstance(storage, PatientStorage):
        return set()
    return storage.stale_trials(study._study_id, grace_of(study))


def silent_trials(study: optuna.Study) -> set[int]:
    """The running trials of whose process nothing was heard for too long, by id; it may only be cut off."""
    storage = study._storage
    if not isinstance(storage, PatientStorage):
        return set()
    return storage.silent_trials(study._study_id, grace_of(study))


class Pulse(threading.Thread):
    """Gives signs of life for the trials of this process.

    It outlives every outage: a sign that cannot be given is given when the database is back.

    Args:
        storage: Where the trials are; one of a single machine needs no signs, and gets none.
        grace: Seconds without a sign after which a trial is lost.
    """

    def __init__(self, storage: BaseStorage, grace: float = GRACE_SECONDS) -> None:
        super().__init__(name="pulse", daemon=True)
        self._storage = storage if isinstance(storage, PatientStorage) else None
        self._interval = grace / BEATS
        self._trials: set[int] = set()
        self._changing = threading.Lock()
        self._ended = threading.Event()
        if self._storage is not None:
            self.start()

    def add(self, trial_id: int) -> None:
        """Give a first sign for a trial, which may raise what the storage raises, and go on."""
        if self._storage is None:
            return
        self._storage.record_heartbeat(trial_id)
        with self._changing:
            self._trials.add(trial_id)

    def remove(self, trial_id: int) -> None:
        """Give no more signs for a trial."""
        with self._changing:
            self._trials.discard(trial_id)

    def run(self) -> None:
        """Beat until stopped; the body of the thread."""
        while not self._ended.wait(self._interval):
            with self._changing:
                trials = list(self._trials)
            for trial_id in trials:
                self._beat(trial_id)

    def _beat(self, trial_id: int) -> None:
        """One sign; while the database is away there is none, and whoever reaps waits for the next.

        Whatever goes wrong with one: without the next, the trial would count as lost.
        """
        if self._storage is None:
            return
        with suppress(Exception), hastily(self._storage):
            self._storage.record_heartbeat(trial_id)

    def __enter__(self) -> Pulse:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self.is_alive():
            self.join()
