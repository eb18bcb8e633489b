"""Runs fits on child processes, side by side, each booked before the next begins."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from search.child_process import Child
from search.composing import setup_of
from search.deployment.member import is_written, member_folder, members_folder, sweep
from search.errors import StudyStoppedError, TrialFailedError
from search.home import Home
from search.material import Material
from search.placement import Placement
from search.records import FoldResult
from search.refits.fit import Fit
from search.refits.ledger import FitLedger
from search.study_file import Study

Progress = Callable[[int, int], None]

ATTEMPTS = 3  # at one fit, where the child dies over it or memory is short: others may need it just then
MACHINES_OWN = ("child lost", "out of memory")
POLL_SECONDS = 0.2


def run_fits(
    fits: Sequence[Fit],
    ledger: FitLedger,
    study: Study,
    home: Home,
    material: Material,
    placements: Sequence[Placement],
    progress: Progress,
) -> None:
    """Run the fits that the ledger lacks.

    A model that cannot be fitted, as its loss became NaN, is booked as such and is no error. One for which
    memory was short is tried again, and once more by the next call.

    A fit whose model is kept is run again where that is gone, and what a killed process left of one is
    removed.

    Args:
        fits: What to run; equal ones run once.
        ledger: Holds what was run before, and takes what comes.
        study: Its settings.
        home: Where it lives.
        material: Its dataset.
        placements: Where to run; one process each.
        progress: Called with fits done and in all.

    Raises:
        InputError: The cohort was changed meanwhile.
        StudyStoppedError: A child keeps dying, or nothing can be written.
        KeyboardInterrupt: Ctrl-C, or `search.cli.Terminated`; what is finished is booked.
    """
    wanted, missing = {fit.key: fit for fit in fits}, missing_fits(fits, ledger, study, home)
    crew = _Crew(missing, ledger, len(wanted) - len(missing), len(wanted), progress)
    if not missing:
        progress(len(wanted), len(wanted))
        return
    folder = home.study(study.name).logs
    folder.mkdir(parents=True, exist_ok=True)
    setup = setup_of(study, home, material)
    children = [
        Child(setup, place, _log(folder, index), crew.stop)
        for index, place in enumerate(placements[: len(missing)])
    ]
    try:
        crew.run(children)
    finally:
        if any(fit.keep for fit in missing):
            sweep(members_folder(home, study.name))


def missing_fits(fits: Sequence[Fit], ledger: FitLedger, study: Study, home: Home) -> list[Fit]:
    """Those that are to be run: that the ledger lacks, or whose model was kept and is gone; each once."""

    def is_done(fit: Fit) -> bool:
        if fit not in ledger or not fit.keep or ledger.failure(fit) is not None:
            return fit in ledger
        return is_written(member_folder(home, study.name, fit), ledger.context)

    return [fit for fit in {fit.key: fit for fit in fits}.values() if not is_done(fit)]


def _log(folder: Path, index: int) -> Path:
    return folder / f"refit-{index}.log"


class _Crew:
    """Threads that take fits from one queue."""

    def __init__(
        self, fits: Sequence[Fit], ledger: FitLedger, done: int, total: int, progress: Progress
    ) -> None:
        self._queue: queue.SimpleQueue[Fit] = queue.SimpleQueue()
        for fit in fits:
            self._queue.put(fit)
        self._ledger, self._done, self._total, self._progress = ledger, done, total, progress
        self._lock, self._errors = threading.Lock(), list[Exception]()
        self.stop = threading.Event()

    def run(self, children: Sequence[Child]) -> None:
        """Run all; the first error of a thread ends the others and is raised."""
        self._progress(self._done, self._total)
        threads: list[threading.Thread] = []
        try:
            for child in children:
                threads.append(threading.Thread(target=self._guarded, args=(child,)))
                threads[-1].start()
            while any(thread.is_alive() for thread in threads):
                for thread in threads:
                    thread.join(POLL_SECONDS)
        finally:
            self.stop.set()
            for thread in threads:
                if thread.ident is not None:  # Ctrl-C may come before the last one is started
                    thread.join()
        if self._errors:
            raise self._errors[0]

    def _guarded(self, child: Child) -> None:
        try:
            with closing(child):
                while not self.stop.is_set():
                    self._book(self._queue.get_nowait(), child)
        except queue.Empty:
            return
        except Exception as error:
            self._errors.append(error)
            self.stop.set()

    def _book(self, fit: Fit, child: Child) -> None:
        result = self._fitted(fit, child)
        if result is None:
            return
        self._ledger.book(fit, result)
        with self._lock:
            self._done += 1
            self._progress(self._done, self._total)

    def _fitted(self, fit: Fit, child: Child) -> FoldResult | str | None:
        """The result of a fit, or why there is none; None after a stop."""
        for _ in range(ATTEMPTS):
            try:
                return child.run_fit(fit.as_json())
            except TrialFailedError as failure:
                if failure.cause == "interrupted":
                    return None
                last = failure
                if failure.cause not in MACHINES_OWN:
                    break
        if last.cause == "child lost":
            details = f": {last.details}" if last.details else ""
            raise StudyStoppedError(f"a fit was given up, as {last}{details}")
        return f"{last.cause}: {last}"
