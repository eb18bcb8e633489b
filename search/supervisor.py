"""Runs a study in this process: prepares data, opens the study, runs its slots, closes the books."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial

import optuna
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from data_prep.problems import InputError
from search.aftermath import mend_after_a_crash
from search.bank import freeze_bank
from search.booking import at_work, counts, reap
from search.caretaker import Caretaker
from search.child_process import Child
from search.claims import Claims
from search.cohort_record import notes_on
from search.composing import check_networks, setup_of
from search.crew import TIDY_SECONDS, Crew, Stop
from search.dashboard import artifact_store
from search.errors import StudyStoppedError
from search.facts import StudyFacts, study_metrics
from search.gpu_gauge import gauge_of
from search.heartbeat import GRACE, GRACE_SECONDS, Pulse, grace_of
from search.home import Home
from search.joining import join_study
from search.limits import StudyLimit
from search.material import Material, freeze_folds, prepare
from search.opening import open_study, slot_study, study_id
from search.owner import Owner
from search.patient import BEATS, Patience, PatientStorage, StorageAwayError, be_patient, hastily
from search.placement import Placement
from search.preflight import check_tracking
from search.progress import Listener
from search.pseudonyms import names_of, write_key
from search.publishing import TrialPublisher
from search.signals import ended_by_signals
from search.slot import Bench, Slot
from search.storage import check_url, is_known, make_pruner, make_sampler, open_storage, storage_told
from search.study_file import Study
from search.study_lock import database_lock, lock_of
from search.tracked import artifacts_of
from search.tracking import Tracker
from search.unbooked import adopt

DELIVERY_SECONDS = 60.0  # the longest that the end of a run waits for MLflow to take what is spooled
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
        leave_within: Seconds in which a fold that runs at SIGTERM may end, of a worker; None to abandon it.
        grace: Seconds without a sign of life after which other machines count a trial as lost; None for what
            the study has, or the default.
        notes: What its user is told when trials are about to begin.
        joining: Whether the study must be there already, as whoever created it left it.
    """

    storage: str | None = None
    tracking: str | None = None
    timeout: float | None = None
    source: str | None = None
    placements: tuple[Placement, ...] = (Placement(1, None),)
    leave_within: float | None = None
    grace: float | None = None
    joining: bool = False
    notes: tuple[str, ...] = ()


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
    if options.joining:
        material, storage, opened = _joined(study, home, options, listener)
    else:
        material, storage, opened = _opened(study, home, options, listener)
        mend_after_a_crash(opened, home, options.storage, options.tracking, listener)
    for line in (*options.notes, *notes_on(material)):
        listener.note(line)
    stop = Stop()
    be_patient(storage, Patience(tell=listener.note, stop=stop.event))
    with (
        ended_by_signals(stop, options.leave_within),
        _tracking(opened, study, material, home, options) as (tracker, publisher),
        Pulse(storage, grace_of(opened)) as pulse,
    ):
        run = _Run(study, material, storage, home, options, listener, publisher, stop, pulse)
        try:
            failures = run.to_its_end()
        except Exception:
            with suppress(Exception):  # what stopped the study is what its user is told
                if not _goes_on(opened, options.joining):
                    publisher.study_ended("FAILED", {})
                _deliver(tracker, lambda: HURRIED_SECONDS)
            raise
        timed_out = stop.signalled is None and (stop.event.is_set() or stop.short_of_time)
        if not _goes_on(opened, options.joining):
            _close_study(opened, publisher, failures)
        left = _deliver(tracker, lambda: HURRIED_SECONDS if stop.signalled else DELIVERY_SECONDS)
    if len(failures) == slots:
        raise StudyStoppedError(f"every slot has stopped; the last reason: {failures[-1]}")
    return Outcome(opened, stop.signalled, timed_out, left)


@storage_told()
def create_study(study: Study, home: Home, options: RunOptions, listener: Listener) -> Callable[[], None]:
    """Create or continue a study, and run no trial of it: workers will.

    Returns:
        What ends the study's run as failed, should no worker be found, unless others work on it.

    Raises:
        InputError: Cohort, study file or an existing study of that name do not fit.
        StudyStoppedError: The storage is gone.
    """
    material, _, opened = _opened(study, home, options, listener)
    for line in notes_on(material):
        listener.note(line)
    with _tracking(opened, study, material, home, options) as (tracker, _):
        _deliver(tracker, lambda: DELIVERY_SECONDS)
    return partial(_give_up, opened, study, material, home, options)


def _give_up(opened: optuna.Study, study: Study, material: Material, home: Home, options: RunOptions) -> None:
    with suppress(Exception):  # what kept the workers from being started is what the user is told
        if not _goes_on(opened, joining=True):
            with _tracking(opened, study, material, home, options) as (tracker, publisher):
                publisher.study_ended("FAILED", {})
                _deliver(tracker, lambda: HURRIED_SECONDS)


def _opened(
    study: Study, home: Home, options: RunOptions, listener: Listener
) -> tuple[Material, BaseStorage, optuna.Study]:
    """The study in its storage, with all that is frozen before its first trial."""
    _check(study, home, options)
    material = prepare(study, home, is_known(study.name, options.storage, home), listener.preparing)
    check_networks(study, home, material, options.placements[0], listener)
    storage = open_storage(options.storage, home)
    opened = open_study(study, material, storage, home, options.tracking, listener.note)
    _book_grace(opened, options)
    freeze_folds(material, home.study(study.name))
    freeze_bank(material, study, home.study(study.name))
    return material, storage, opened


def _joined(
    study: Study, home: Home, options: RunOptions, listener: Listener
) -> tuple[Material, BaseStorage, optuna.Study]:
    """The study as its opener left it, with what this home needs of it."""
    _check(study, home, options)
    storage, folder = open_storage(options.storage, home), home.study(study.name)
    opened, material = join_study(study, storage, home, listener.preparing)
    freeze_folds(material, folder)
    freeze_bank(material, study, folder)
    check_networks(study, home, material, options.placements[0], listener)
    return material, storage, opened


def _book_grace(opened: optuna.Study, options: RunOptions) -> None:
    """Keep with the study what its workers are to agree on.

    Raises:
        InputError: It would change under workers, who give signs of life as often as they were told.
    """
    before = opened.user_attrs.get(GRACE)
    wanted = options.grace or before or GRACE_SECONDS
    if wanted == before:
        return
    if before is not None and at_work(opened):
        raise InputError(
            f"--grace: it must stay {before:g} s while others work on the study, but got {wanted:g}"
        )
    opened.set_user_attr(GRACE, wanted)


def _check(study: Study, home: Home, options: RunOptions) -> None:
    """Refuse what cannot run before anything is read or written."""
    check_url(options.storage, len(options.placements))
    make_sampler(study.search, len(options.placements), 0)
    home.check_writable(study.name)
    check_tracking(options.tracking, home, study.name)


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
    pulse: Pulse

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
        end = database_lock(self.storage, f"caretaker:{self.study.name}")
        with closing(Caretaker(plain, end, self.stop.leaving.is_set)) as caretaker:
            slots = self._slots(caretaker.stay)
            crew = Crew(slots, self.stop, self.listener, folder.logs / "errors.log")
            every = min(TIDY_SECONDS, grace_of(plain) / BEATS)
            return crew.run(self._hasty(tidy), self.options.timeout, every)

    def _slots(self, stay: Callable[[], bool]) -> list[Slot]:
        folder, placements = self.home.study(self.study.name), self.options.placements
        lock = lock_of(self.storage, folder)
        folder.logs.mkdir(parents=True, exist_ok=True)
        splits, search = len(self.material.folds.splits()), self.study.search
        limit = StudyLimit(self.options.timeout, splits, search.trial_timeout, self._tell_short)
        claims = Claims(search, len(placements), lock, limit, self.pulse)
        bench = Bench(
            self.study,
            self.material,
            folder,
            self.publisher,
            self.listener,
            self.stop.event,
            claims,
            self.stop.leaving,
            stay,
        )
        setup = setup_of(self.study, self.home, self.material)
        mine = f"{Owner.of().host}-{os.getpid()}-" if self.options.joining else ""  # of several in one home
        children = [
            Child(setup, place, folder.logs / f"slot-{mine}{index}.log", self.stop.event, self.stop.leaving)
            for index, place in enumerate(placements)
        ]
        pruner = make_pruner(search)
        return [
            Slot(bench, slot_study(self.study, self.storage, pruner), child, gauge_of(place.gpu))
            for child, place in zip(children, placements, strict=True)
        ]

    def _tell_short(self, text: str) -> None:
        self.stop.short_of_time = True
        self.listener.note(text)

    def _reaper(self, study: optuna.Study) -> Callable[[], None]:
        """Requeues the trials of dead owners, and ends their MLflow runs: a retry opens them again.

        What those owners had finished while the database was away is booked before.
        """
        folder = self.home.study(self.study.name)
        lock = lock_of(self.storage, folder)

        def tidy() -> None:
            for number, split in adopt(study, folder.unbooked, lock, self.publisher.fold_found):
                self.listener.note(f"trial {number}: fold {split}, finished by a process now dead, is booked")
            for number in reap(study, lock, self.publisher.trial_lost):
                self.listener.note(f"trial {number}: its process died; its finished folds are kept")

        return tidy

    def _hasty(self, tidy: Callable[[], None]) -> Callable[[], None]:
        """The same without waiting for the database: who calls it now and then watches the clock as well."""

        def tidy_if_any() -> None:
            with suppress(StorageAwayError), hastily(self.storage):
                tidy()

        return tidy_if_any


@contextmanager
def _tracking(
    opened: optuna.Study, study: Study, material: Material, home: Home, options: RunOptions
) -> Iterator[tuple[Tracker, TrialPublisher]]:
    uri, spool = options.tracking or home.tracking_uri, home.study(study.name).spool
    lock = database_lock(opened._storage, f"tracking:{study.name}")
    guard = nullcontext if lock is None else lock.held
    tracker = Tracker(uri, artifacts_of(opened, uri, home), spool, study.name, study_id(opened), guard)
    biopsies, participants = material.patches.biopsy_id, material.patches.participant_id
    write_key(home.study(study.name).pseudonyms, biopsies, participants)
    names = names_of(biopsies, participants, study.tracking.identifiers)
    facts, store = StudyFacts.of(opened), artifact_store(home.artifacts)
    publisher = TrialPublisher(study, facts, names, tracker, store)
    publisher.study_started(options.source, options.joining)
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


def _goes_on(study: optuna.Study, joining: bool) -> bool:
    """Whether others work on the study, so that its run is not over yet.

    Whoever joined it leaves the run alone also while a trial waits to be taken up again. Where the storage is
    away, nobody can work.
    """
    several, here = isinstance(study._storage, PatientStorage), Owner.of().host
    try:
        # Who worked on a journal from a machine of another name cannot be asked, and does so no more.
        if any(several or Owner.parse(trial.user_attrs["owner"]).host == here for trial in at_work(study)):
            return True
        waiting = study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
    except (StudyStoppedError, OSError):
        return False
    return joining and any("retry_of" in trial.user_attrs for trial in waiting)


def _close_study(study: optuna.Study, publisher: TrialPublisher, failures: list[str]) -> None:
    try:
        metrics = study_metrics(study)
    except StorageAwayError:  # whoever stops a run while the database is away does not wait for it
        metrics = {}
    publisher.study_ended("FAILED" if failures else "FINISHED", metrics)
