"""A slot's owner: asks Optuna, hands trials to its child fold by fold, books what comes back, ends the trial.

It never loads TensorFlow, and is the only writer of its trials in Optuna and MLflow.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from data_prep.problems import InputError
from search.booking import (
    book_settings,
    book_versions,
    booked_settings,
    finished_folds,
    key_of,
    requeue,
)
from search.child_process import Child
from search.claims import Claims, trial_seed
from search.composing import compose, enqueued
from search.endings import Ending, decide
from search.errors import TrialFailedError
from search.fold_book import FoldBook
from search.gpu_gauge import NO_GAUGE, Gauge
from search.hindsight import SlotStudy
from search.home import StudyFolder
from search.limits import TrialLimit
from search.material import Material
from search.metrics import finite, pooled_metrics
from search.opening import study_id
from search.patient import StorageAwayError
from search.pictures import draw_trial
from search.progress import Listener
from search.publishing import TrialPublisher
from search.records import FoldResult, TrialConfig
from search.study_file import Study
from search.study_lock import lock_of
from search.suggest import sample

CRASH_LIMIT, CRASH_WINDOW = 3, 60.0  # deaths of its child, and the seconds they fall into, that end a slot


@dataclass(frozen=True)
class Bench:
    """What the slots of one process share, all of it fixed before the first trial.

    Attributes:
        study: The study's settings.
        material: Its dataset.
        folder: Its files.
        publisher: Writes to MLflow and optuna-dashboard.
        listener: Hears what happens.
        stop: Set when no further fold shall be finished.
        claim: Hands out the next trial.
        leaving: Set when no further trial or fold shall begin.
        stay: Asked where no trial is left; whether to ask for one again.
    """

    study: Study
    material: Material
    folder: StudyFolder
    publisher: TrialPublisher
    listener: Listener
    stop: threading.Event
    claim: Claims
    leaving: threading.Event = field(default_factory=threading.Event)
    stay: Callable[[], bool] = lambda: False

    @property
    def is_ending(self) -> bool:
        """Whether nothing further is begun."""
        return self.stop.is_set() or self.leaving.is_set()


class Slot:
    """One owner and one child.

    Args:
        bench: What it shares with the others.
        study: The study as this slot sees it.
        child: Its child process.
        gauge: Reads its GPU.
    """

    def __init__(self, bench: Bench, study: SlotStudy, child: Child, gauge: Gauge = NO_GAUGE) -> None:
        self._bench, self._study, self._child, self._gauge = bench, study, child, gauge
        self._told = False  # that TensorFlow does not see the GPU
        self._study_id, self._lock = study_id(study), lock_of(study._storage, bench.folder)
        self._crashes: list[float] = []
        self.failure: str | None = None

    def run(self) -> None:
        """Run trials until none is left, the study is stopped, or the child keeps dying (see `failure`)."""
        try:
            self._run_trials()
        except StorageAwayError:
            if not self._bench.stop.is_set():  # else nobody waits any more, and what is finished is kept
                raise
        finally:
            self._gauge.close()
            self._child.close()

    def _run_trials(self) -> None:
        while not self._bench.is_ending and self.failure is None:
            trial = self._bench.claim(self._study)
            if trial is None:
                if self._bench.claim.all_handed_out and self._bench.stay():
                    continue
                break
            try:
                self._run_booked(trial)
            except UpdateFinishedTrialError:
                text = "another process had already ended this trial"  # a zombie's late word is not booked
                self._bench.listener.trial_ended(trial.number, "owner lost", None, text)
            finally:
                self._bench.claim.release(trial)

    def _run_booked(self, trial: optuna.Trial) -> None:
        """Run a trial; where the database is away to the end, its folds are left to the next start."""
        bench = self._bench
        folder, booked, tell = bench.folder.unbooked, bench.publisher.fold_done, bench.listener.note
        book = FoldBook(trial, self._study_id, folder, self._lock, booked, tell)
        try:
            self._run_trial(trial, book)
        except StorageAwayError:
            book.leave()
            text = "the database is away; what is finished waits in the home"
            bench.listener.trial_ended(trial.number, "interrupted", None, text)
            raise
        finally:
            book.close()

    def _run_trial(self, trial: optuna.Trial, book: FoldBook) -> None:
        config, unbuilt = self._book(trial)
        folds = finished_folds(_frozen(trial))
        bench, number = self._bench, trial.number
        bench.listener.trial_started(number, config.settings, len(bench.material.folds.splits()), len(folds))
        bench.publisher.trial_started(key_of(trial), config, _retry_of(trial))
        try:
            self._run_to_its_end(book, config, folds, unbuilt)
        except OSError:  # a full disk, most likely, which may still have room for these few lines
            with suppress(Exception):
                self._end(book, folds, "interrupted", "a file could not be written")
            raise

    def _run_to_its_end(
        self,
        book: FoldBook,
        config: TrialConfig,
        folds: dict[int, FoldResult],
        unbuilt: TrialFailedError | InputError | None,
    ) -> None:
        try:
            if unbuilt is not None:
                raise unbuilt
            pruned = self._run_folds(book, config, folds)
        except TrialFailedError as failure:
            self._end(book, folds, failure.cause, str(failure), failure.details)
            self._note_crash(failure)
        except InputError:
            text = "the cohort, the code or another file of the study changed while it was running"
            self._end(book, folds, "interrupted", text)
            raise
        else:
            self._end(book, folds, "pruned" if pruned else "complete", "")

    def _book(self, trial: optuna.Trial) -> tuple[TrialConfig, TrialFailedError | InputError | None]:
        """Freeze what the trial is, and why it cannot be built where it cannot.

        A retried trial keeps the seed and the settings of its first attempt, whatever became of the space.
        """
        study, unbuilt, before = self._bench.study, None, booked_settings(_frozen(trial))
        space = study.parameters if before is None else study.parameters.only(enqueued(trial))
        sampled = sample(trial, space)
        settings = space.settings(sampled) if before is None else before
        limit = TrialLimit.of(study.search.trial_timeout, finished_folds(_frozen(trial)).values())
        try:
            settings = {**compose(study, trial, settings, self._child, limit), **settings}
        except (TrialFailedError, InputError) as failure:
            unbuilt = failure
        trial.set_user_attr("key", key_of(trial))
        book_settings(trial, settings)
        book_versions(trial)
        seed = trial_seed(self._bench.study.search.seed, trial.user_attrs["place"])
        return TrialConfig(settings, seed), unbuilt

    def _run_folds(self, book: FoldBook, config: TrialConfig, folds: dict[int, FoldResult]) -> bool:
        """Run the folds that are missing, book each; returns whether the trial was pruned.

        An earlier attempt may have died when its last fold was booked, but not reported or judged.
        """
        trial, splits = book.trial, self._bench.material.folds.splits()
        reported = _frozen(trial).intermediate_values
        for split in splits:
            if split.index + 1 in folds and split.index in reported:
                continue
            fresh = None
            if split.index not in folds:
                limit = TrialLimit.of(self._bench.study.search.trial_timeout, folds.values())
                folds[split.index] = fresh = self._run_fold(trial, config, split.index, limit)
            value = self._running_value({k: fold for k, fold in folds.items() if k <= split.index})
            book.add(split.index, None if split.index in reported else value, fresh)
            if fresh is not None:
                self._bench.listener.fold_done(trial.number, split.index, value)
            if len(folds) < len(splits) and value is not None and book.should_prune():
                return True
        return False

    def _run_fold(
        self, trial: optuna.Trial, config: TrialConfig, split: int, limit: TrialLimit
    ) -> FoldResult:
        bench, key = self._bench, key_of(trial)
        if bench.is_ending:
            raise TrialFailedError("interrupted", "the study was stopped")
        if limit.left <= 0:
            raise limit.passed()
        bench.listener.fold_started(trial.number, split)
        bench.publisher.fold_started(key, split)
        epochs = bench.study.training.epochs
        with self._gauge.during(lambda reading: bench.publisher.gpu_read(key, reading)) as watch:
            fold = self._child.run_fold(
                config,
                split,
                lambda m: bench.listener.epoch(trial.number, m["epoch"], epochs, m["loss"]),
                limit,
            )
        self._note_device(fold)
        return watch.noted(fold)

    def _note_device(self, fold: FoldResult) -> None:
        """Say once that a network was trained on the CPU although the slot has a GPU."""
        if self._gauge.gpu and fold.best_epoch and fold.device.startswith("CPU") and not self._told:
            self._told = True
            self._bench.listener.note(
                f"TensorFlow does not see {self._gauge.gpu} and trains on the CPU: is it the CPU build, or "
                "the driver too old for it? (--require-gpu refuses that)"
            )

    def _running_value(self, folds: dict[int, FoldResult]) -> float | None:
        """The study's metric over the folds so far: the running mean that pruners compare."""
        metrics = pooled_metrics([folds[split].scores for split in sorted(folds)])
        return metrics[self._bench.study.search.metric]

    def _end(
        self, book: FoldBook, folds: dict[int, FoldResult], cause: str, message: str, details: str = ""
    ) -> None:
        book.deliver()
        trial, value = book.trial, self._running_value(folds)
        if cause == "complete" and value is None:
            cause, message = (
                "failed",
                f"{self._bench.study.search.metric} is undefined: held-out labels are all alike",
            )
        ending = decide(cause, int(trial.user_attrs.get("retries", 0)))
        self._tell(trial, folds, ending, value, message)
        told = f"{message}: {details}" if details else message
        again = "; it is taken up again" if ending.retry else ""
        self._bench.listener.trial_ended(trial.number, ending.cause, value, told + again)

    def _tell(
        self,
        trial: optuna.Trial,
        folds: dict[int, FoldResult],
        ending: Ending,
        value: float | None,
        message: str,
    ) -> None:
        """Publish the pictures (Optuna takes none after the end), end the trial, then its MLflow run."""
        key, done = key_of(trial), [folds[split] for split in sorted(folds)]
        if ending.state != "FAIL" and done:
            folder, identifiers = self._bench.folder.trial(key), self._bench.study.tracking.identifiers
            pictures = draw_trial(self._bench.material, done, folder, trial.number, identifiers)
            self._bench.publisher.pictures(self._study, trial, key, pictures)
        if not ending.retry:
            for name, metric in finite(pooled_metrics([fold.scores for fold in done])).items():
                trial.set_user_attr(name, metric)
        trial.set_user_attr("ending", ending.cause)
        if ending.constraint:
            trial.set_user_attr(ending.constraint, 1)  # optuna-dashboard does not show constraints
            trial.set_constraint(ending.constraint, 1)
        if ending.retry:
            with self._bench.claim.lock:  # nobody counts between the failing and its copy
                requeue(self._study, _frozen(trial), ending.cause, self._lock)
        else:
            if message:
                trial.set_user_attr("error", message)
            state = TrialState[ending.state]
            try:
                self._study.tell(trial, value if state == TrialState.COMPLETE else None, state=state)
            except ValueError as error:  # how Optuna refuses to tell what somebody else has ended
                if not _frozen(trial).state.is_finished():
                    raise
                raise UpdateFinishedTrialError(str(error)) from error
        self._bench.publisher.trial_ended(self._study, trial, key, done, ending, message)

    def _note_crash(self, failure: TrialFailedError) -> None:
        """Give up when child after child dies: the machine, not the trial, is then to be looked at."""
        if failure.cause != "child lost":
            return
        now = time.monotonic()
        self._crashes = [then for then in self._crashes if now - then < CRASH_WINDOW] + [now]
        if len(self._crashes) >= CRASH_LIMIT:
            self.failure = f"{failure}: {failure.details}" if failure.details else str(failure)
            self._bench.listener.note(
                f"a slot has stopped: its child died {CRASH_LIMIT} times within {CRASH_WINDOW:.0f} s"
            )


def _frozen(trial: optuna.Trial) -> FrozenTrial:
    return trial.storage.get_trial(trial._trial_id)


def _retry_of(trial: optuna.Trial) -> int | None:
    return trial.user_attrs.get("retry_of")
