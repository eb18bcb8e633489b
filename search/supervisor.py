"""Runs a study in this process: prepares data, opens the study, runs its slots, closes the books."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType

import optuna
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from search.aftermath import mend_after_a_crash
from search.bank import freeze_bank
from search.booking import counts, reap
from search.child_process import Child
from search.claims import Claims
from search.cohort_record import notes_on
from search.composing import check_networks, setup_of
from search.crew import Crew, Stop
from search.dashboard import artifact_store
from search.errors import StudyStoppedError
from search.facts import StudyFacts, study_metrics
from search.home import Home
from search.limits import StudyLimit
from search.links import is_server
from search.material import Material, freeze_folds, prepare
from search.opening import open_study, slot_study, study_id
from search.placement import Placement
from search.progress import Listener
from search.pseudonyms import names_of, write_key
from search.publishing import TrialPublisher
from search.slot import Bench, Slot
from search.storage import check_url, is_known, make_sampler, open_storage, storage_told
from search.study_file import Study
from search.tracking import Tracker
from search.tracking_uri import check_uri

DELIVERY_SECONDS = 60.0  # the longest that the end of a run waits for MLflow to take what is spooled
SHOW_CURSOR = "\x1b[?25h"  # the live table hides it
HURRIED_SECONDS = 5.0  # the same after Ctrl-C, or while MLflow does not answer; the rest goes out next time


@dataclass(frozen=True)
class RunOptions:
    """What the command line says beyond the study file.

    Attributes:
        storage: URL of Optuna's storage; None for the journal in the home.
        tracking: MLflow's tracking URI; None for the database in the home.
        timeout: Seconds after which trials are stopped and put back, and no trial is started that is not
            expected to end before; None for no limit.
        source: The study file as its author wrote it, to be kept with the study's run.
        placements: One a slot.
    """

    storage: str | None = None
    tracking: str | None = None
    timeout: float | None = None
    source: str | None = None
    placements: tuple[Placement, ...] = (Placement(1, None),)


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        study: The study, to be read.
        signalled: The signal that stopped it, if one did.
        timed_out: Whether the time limit stopped it, or left too little time for another trial.
        undelivered: Tracking events that wait in the spool.
    """

    study: optuna.Study
    signalled: int | None
    timed_out: bool
    undelivered: int


@storage_told()
def run_study(study: Study, home: Home, options: RunOptions, listener: Listener) -> Outcome:
    """Create or continue a study and run trials until as many as it asks for were handed out.

    Raises:
        InputError: Cohort, study file or an existing study of that name do not fit.
        StudyStoppedError: The storage is gone, or every slot's child keeps dying.
    """
    slots = len(options.placements)
    _check(study, home, options)
    material = prepare(study, home, is_known(study.name, options.storage, home), listener.preparing)
    check_networks(study, home, material, options.placements[0], listener)
    storage = open_storage(options.storage, home)
    opened = open_study(study, material, storage, home)
    freeze_folds(material, home.study(study.name))
    freeze_bank(material, study, home.study(study.name))
    mend_after_a_crash(opened, home, options.storage, options.tracking, listener)
    for line in notes_on(material):
        listener.note(line)
    stop = Stop()
    with _signals(stop), _tracking(opened, study, material, home, options) as (tracker, publisher):
        run = _Run(study, material, storage, home, options, listener, publisher, stop)
        try:
            failures = run.to_its_end()
        except Exception:
            with suppress(Exception):  # what stopped the study is what its user is told
                publisher.study_ended("FAILED", {})
                _deliver(tracker, lambda: HURRIED_SECONDS)
            raise
        timed_out = stop.signalled is None and (stop.event.is_set() or stop.short_of_time)
        _close_study(opened, publisher, failures)
        left = _deliver(tracker, lambda: HURRIED_SECONDS if stop.signalled else DELIVERY_SECONDS)
    if len(failures) == slots:
        raise StudyStoppedError(f"every slot has stopped; the last reason: {failures[-1]}")
    return Outcome(opened, stop.signalled, timed_out, left)


def _check(study: Study, home: Home, options: RunOptions) -> None:
    """Refuse what cannot run before anything is read or written."""
    check_url(options.storage, len(options.placements))
    check_uri(options.tracking or home.tracking_uri)
    make_sampler(study.search, len(options.placements), 0)
    home.check_writable(study.name)


@dataclass(frozen=True)
class _Run:
    """The middle of a run: from an opened study to the end of its slots."""

    study: Study
    material: Material
    storage: BaseStorage
    home: Home
    options: RunOptions
    listener: Listener
    publisher: TrialPublisher
    stop: Stop

    def to_its_end(self) -> list[str]:
        """Run the slots; returns why those stopped that could not go on."""
        folder = self.home.study(self.study.name)
        plain = optuna.load_study(study_name=self.study.name, storage=self.storage)
        tidy = self._reaper(plain)
        tidy()
        trials = plain.get_trials(deepcopy=False)
        best = plain.best_value if any(t.state == TrialState.COMPLETE for t in trials) else None
        asked = self.study.search.trials
        self.listener.study_opened(self.study.name, asked, sum(map(counts, trials)), best)
        crew = Crew(self._slots(), self.stop, self.listener, folder.logs / "errors.log")
        return crew.run(tidy, self.options.timeout)

    def _slots(self) -> list[Slot]:
        folder, placements = self.home.study(self.study.name), self.options.placements
        folder.logs.mkdir(parents=True, exist_ok=True)
        splits, search = len(self.material.folds.splits()), self.study.search
        limit = StudyLimit(self.options.timeout, splits, search.trial_timeout, self._tell_short)
        claims = Claims(search, len(placements), folder.reaper_lock, limit)
        bench = Bench(
            self.study, self.material, folder, self.publisher, self.listener, self.stop.event, claims
        )
        setup = setup_of(self.study, self.home, self.material)
        children = [
            Child(setup, place, folder.logs / f"slot-{index}.log", self.stop.event)
            for index, place in enumerate(placements)
        ]
        return [Slot(bench, slot_study(self.study, self.storage), child) for child in children]

    def _tell_short(self, text: str) -> None:
        self.stop.short_of_time = True
        self.listener.note(text)

    def _reaper(self, study: optuna.Study) -> Callable[[], None]:
        """Requeues the trials of dead owners, and ends their MLflow runs: a retry opens them again."""

        def tidy() -> None:
            lock = self.home.study(self.study.name).reaper_lock
            for number in reap(study, lock, self.publisher.trial_lost):
                self.listener.note(f"trial {number}: its process died; its finished folds are kept")

        return tidy


@contextmanager
def _tracking(
    opened: optuna.Study, study: Study, material: Material, home: Home, options: RunOptions
) -> Iterator[tuple[Tracker, TrialPublisher]]:
    uri, spool = options.tracking or home.tracking_uri, home.study(study.name).spool
    # A server keeps artifacts itself; beside a database MLflow would put them into the working directory.
    artifacts = None if is_server(uri) else home.tracking_artifacts
    tracker = Tracker(uri, artifacts, spool, study.name, study_id(opened))
    biopsies, participants = material.patches.biopsy_id, material.patches.participant_id
    write_key(home.study(study.name).pseudonyms, biopsies, participants)
    names = names_of(biopsies, participants, study.tracking.identifiers)
    facts, store = StudyFacts.of(opened), artifact_store(home.artifacts)
    publisher = TrialPublisher(study, facts, names, tracker, store)
    publisher.study_started(options.source)
    try:
        yield tracker, publisher
    finally:
        tracker.close(0)


def _deliver(tracker: Tracker, longest: Callable[[], float]) -> int:
    """Wait while MLflow takes what is spooled; returns how many events are left.

    Args:
        tracker: The way to MLflow.
        longest: Seconds, which may become fewer meanwhile: somebody may press Ctrl-C.
    """
    started = time.monotonic()
    while left := tracker.flush(0.5):
        waited = time.monotonic() - started
        if waited > longest() or (tracker.is_cut_off and waited > HURRIED_SECONDS):
            break
    return left


def _close_study(study: optuna.Study, publisher: TrialPublisher, failures: list[str]) -> None:
    publisher.study_ended("FAILED" if failures else "FINISHED", study_metrics(study))


@contextmanager
def _signals(stop: Stop) -> Iterator[None]:
    """SIGINT, SIGTERM and SIGHUP stop the run and book it; a second one leaves at once, as safe as a kill.

    A SIGHUP (the terminal is gone) that was to be ignored, as under nohup, still is.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if stop.signalled:
            if sys.stderr.isatty():
                sys.stderr.write(SHOW_CURSOR)
                sys.stderr.flush()
            os._exit(128 + number)
        stop.set(number)

    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
