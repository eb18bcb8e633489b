"""Runs a study in this process: prepares data, starts slots, reaps what died, closes the books."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import optuna
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from search.booking import counts, reap
from search.child_process import Child
from search.claims import Claims
from search.dashboard import artifact_store
from search.errors import StudyStoppedError
from search.home import Home
from search.material import Material, prepare
from search.opening import open_study, slot_study
from search.placement import Placement
from search.progress import Listener
from search.publishing import TrialPublisher, open_tracker
from search.slot import Bench, Slot
from search.storage import check_url, make_sampler, open_storage
from search.study_file import Study
from search.tracking import Tracker

REAP_SECONDS = 30.0
DELIVERY_SECONDS = 60.0  # the longest that the end of a run waits for MLflow to take what is spooled
HURRIED_SECONDS = 5.0  # the same after Ctrl-C, or while MLflow does not answer; the rest goes out next time


@dataclass(frozen=True)
class RunOptions:
    """What the command line says beyond the study file.

    Attributes:
        storage: URL of Optuna's storage; None for the journal in the home.
        tracking: MLflow's tracking URI; None for the database in the home.
        timeout: Seconds after which trials are stopped and put back; None for no limit.
        source: The study file as its author wrote it, to be kept with the study's run.
        placements: One a slot.
    """

    storage: str | None = None
    tracking: str | None = None
    timeout: float | None = None
    source: str | None = None
    placements: tuple[Placement, ...] = (Placement(1, None),)


@dataclass
class _Stop:
    """Why and when the run ends early."""

    event: threading.Event = field(default_factory=threading.Event)
    signalled: int | None = None

    def set(self, number: int | None = None) -> None:
        self.signalled = self.signalled or number
        self.event.set()


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        study: The study, to be read.
        signalled: The signal that stopped it, if one did.
        timed_out: Whether the time limit stopped it.
        undelivered: Tracking events that wait in the spool.
    """

    study: optuna.Study
    signalled: int | None
    timed_out: bool
    undelivered: int


def run_study(study: Study, home: Home, options: RunOptions, listener: Listener) -> Outcome:
    """Create or continue a study and run trials until as many as it asks for were handed out.

    Raises:
        InputError: Cohort, study file or an existing study of that name do not fit.
        StudyStoppedError: The storage is gone, or every slot's child keeps dying.
    """
    slots = len(options.placements)
    check_url(options.storage, slots)
    make_sampler(study.search, slots, 0)  # refuses a sampler that cannot run before anything is written
    material = prepare(study, home, listener.preparing)
    storage = open_storage(options.storage, home)
    opened = open_study(study, material, storage, home)
    stop = _Stop()
    with _signals(stop), _tracking(study, material, home, options) as (tracker, publisher):
        failures = _run_slots(study, material, storage, home, options, listener, publisher, stop)
        timed_out = stop.event.is_set() and stop.signalled is None
        _close_study(opened, publisher, failures)
        left = _deliver(tracker, HURRIED_SECONDS if stop.signalled else DELIVERY_SECONDS)
    if len(failures) == slots:
        raise StudyStoppedError(f"every slot has stopped; the last reason: {failures[-1]}")
    return Outcome(opened, stop.signalled, timed_out, left)


def _run_slots(
    study: Study,
    material: Material,
    storage: BaseStorage,
    home: Home,
    options: RunOptions,
    listener: Listener,
    publisher: TrialPublisher,
    stop: _Stop,
) -> list[str]:
    """Run the slots to their end; returns why those stopped that could not go on."""
    folder = home.study(study.name)
    plain = optuna.load_study(study_name=study.name, storage=storage)
    reap(plain, folder.root / "reaper.lock")
    trials = plain.get_trials(deepcopy=False)
    best = plain.best_value if any(t.state == TrialState.COMPLETE for t in trials) else None
    listener.study_opened(study.name, study.search.trials, sum(map(counts, trials)), best)
    bench = Bench(
        study,
        material,
        folder,
        publisher,
        listener,
        stop.event,
        Claims(study.search, len(options.placements)),
    )
    setup = {"study": study.to_json(), "home": str(home.root), "material": material.hash}
    slots = []
    for index, place in enumerate(options.placements):
        log = folder.logs / f"slot-{index}.log"
        child = Child(setup, place, log, stop.event)
        slots.append(Slot(bench, slot_study(study, storage), child))
    errors: list[BaseException] = []
    threads = [threading.Thread(target=_guarded(slot, errors)) for slot in slots]
    for thread in threads:
        thread.start()
    _watch(threads, errors, plain, folder.root / "reaper.lock", options.timeout, stop, listener)
    if errors:
        raise StudyStoppedError(f"the storage or the home is gone: {errors[0]}") from errors[0]
    return [slot.failure for slot in slots if slot.failure is not None]


def _guarded(slot: Slot, errors: list[BaseException]) -> Callable[[], None]:
    """The slot's loop, with what it cannot handle itself kept for the main thread."""

    def run() -> None:
        try:
            slot.run()
        except Exception as error:  # a thread's error would else be printed and forgotten
            errors.append(error)

    return run


def _watch(
    threads: list[threading.Thread],
    errors: list[BaseException],
    study: optuna.Study,
    lock: Path,
    timeout: float | None,
    stop: _Stop,
    listener: Listener,
) -> None:
    """Wait for the slots; meanwhile reap trials whose owner died, and stop at the time limit."""
    started = reaped = time.monotonic()
    while any(thread.is_alive() for thread in threads):
        for thread in threads:
            thread.join(timeout=0.1)
        now = time.monotonic()
        if errors:
            stop.event.set()  # what one slot cannot handle, none can
        if timeout is not None and now - started > timeout and not stop.event.is_set():
            listener.note(f"the time limit of {timeout:g} s is reached: stopping")
            stop.set()
        if now - reaped > REAP_SECONDS:
            reap(study, lock)
            reaped = now


@contextmanager
def _tracking(
    study: Study, material: Material, home: Home, options: RunOptions
) -> Iterator[tuple[Tracker, TrialPublisher]]:
    tracker = open_tracker(study, home, options.tracking)
    publisher = TrialPublisher(study, material, tracker, artifact_store(home.artifacts))
    publisher.study_started(options.source)
    try:
        yield tracker, publisher
    finally:
        tracker.close(0)


def _deliver(tracker: Tracker, longest: float) -> int:
    """Wait while MLflow takes what is spooled; returns how many events are left."""
    started = time.monotonic()
    while left := tracker.flush(0.5):
        waited = time.monotonic() - started
        if waited > longest or (tracker.is_cut_off and waited > HURRIED_SECONDS):
            break
    return left


def _close_study(study: optuna.Study, publisher: TrialPublisher, failures: list[str]) -> None:
    trials = study.get_trials(deepcopy=False)
    metrics = {"trials": float(sum(map(counts, trials)))}
    if any(trial.state == TrialState.COMPLETE for trial in trials):
        metrics |= {"best_value": study.best_value, "best_trial": float(study.best_trial.number)}
    publisher.study_ended("FAILED" if failures else "FINISHED", metrics)


@contextmanager
def _signals(stop: _Stop) -> Iterator[None]:
    """SIGINT and SIGTERM stop the run and book it; a second one leaves at once, as safe as a kill."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if stop.signalled:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        stop.set(number)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
