"""A slot's owner: asks Optuna, hands trials to its child fold by fold, books what comes back, ends the trial.

It never loads TensorFlow, and is the only writer of its trials in Optuna and MLflow.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from data_prep.problems import InputError
from search.booking import (
    book_fold,
    book_settings,
    book_versions,
    booked_settings,
    finished_folds,
    key_of,
    place_in_line,
    requeue,
)
from search.child_process import Child
from search.claims import Claims, trial_seed
from search.composing import compose, enqueued
from search.endings import Ending, decide
from search.errors import TrialFailedError
from search.home import StudyFolder
from search.limits import TrialLimit
from search.material import Material
from search.metrics import finite, pooled_metrics
from search.pictures import draw_trial
from search.progress import Listener
from search.publishing import TrialPublisher
from search.records import FoldResult, TrialConfig
from search.study_file import Study
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
    """

    study: Study
    material: Material
    folder: StudyFolder
    publisher: TrialPublisher
    listener: Listener
    stop: threading.Event
    claim: Claims


class Slot:
    """One owner and one child.

    Args:
        bench: What it shares with the others.
        study: The study as this slot sees it.
        child: Its child process.
    """

    def __init__(self, bench: Bench, study: optuna.Study, child: Child) -> None:
        self._bench, self._study, self._child = bench, study, child
        self._crashes: list[float] = []
        self.failure: str | None = None

    def run(self) -> None:
        """Run trials until none is left, the study is stopped, or the child keeps dying (see `failure`)."""
        try:
            while not self._bench.stop.is_set() and self.failure is None:
                trial = self._bench.claim(self._study)
                if trial is None:
                    break
                try:
                    self._run_trial(trial)
                except UpdateFinishedTrialError:
                    text = (
                        "another process had already ended this trial"  # a zombie's late word is not booked
                    )
                    self._bench.listener.trial_ended(trial.number, "owner lost", None, text)
        finally:
            self._child.close()

    def _run_trial(self, trial: optuna.Trial) -> None:
        config, unbuilt = self._book(trial)
        folds = finished_folds(_frozen(trial))
        bench, number = self._bench, trial.number
        bench.listener.trial_started(number, config.settings, len(bench.material.folds.splits()), len(folds))
        bench.publisher.trial_started(key_of(trial), config, _retry_of(trial))
        try:
            self._run_to_its_end(trial, config, folds, unbuilt)
        except OSError:  # a full disk, most likely, which may still have room for these few lines
            with suppress(Exception):
                self._end(trial, folds, "interrupted", "a file could not be written")
            raise

    def _run_to_its_end(
        self,
        trial: optuna.Trial,
        config: TrialConfig,
        folds: dict[int, FoldResult],
        unbuilt: TrialFailedError | InputError | None,
    ) -> None:
        try:
            if unbuilt is not None:
                raise unbuilt
            pruned = self._run_folds(trial, config, folds)
        except TrialFailedError as failure:
            self._end(trial, folds, failure.cause, str(failure), failure.details)
            self._note_crash(failure)
        except InputError:
            self._end(trial, folds, "interrupted", "the cohort changed while the study was running")
            raise
        else:
            self._end(trial, folds, "pruned" if pruned else "complete", "")

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
        place = trial.user_attrs.get("place")
        if place is None:
            place = place_in_line(self._study.get_trials(deepcopy=False), key_of(trial))
        trial.set_user_attr("place", place)
        trial.set_user_attr("key", key_of(trial))
        book_settings(trial, settings)
        book_versions(trial)
        return TrialConfig(settings, trial_seed(self._bench.study.search.seed, place)), unbuilt

    def _run_folds(self, trial: optuna.Trial, config: TrialConfig, folds: dict[int, FoldResult]) -> bool:
        """Run the folds that are missing, book each; returns whether the trial was pruned.

        An earlier attempt may have died when its last fold was booked, but not reported or judged.
        """
        splits, reported = self._bench.material.folds.splits(), _frozen(trial).intermediate_values
        for split in splits:
            if split.index + 1 in folds and split.index in reported:
                continue
            is_new = split.index not in folds
            if is_new:
                limit = TrialLimit.of(self._bench.study.search.trial_timeout, folds.values())
                folds[split.index] = self._run_fold(trial, config, split.index, limit)
            value = self._running_value({k: fold for k, fold in folds.items() if k <= split.index})
            if value is not None and split.index not in reported:
                trial.report(value, step=split.index)
            if is_new:
                self._bench.listener.fold_done(trial.number, split.index, value)
            if len(folds) < len(splits) and value is not None and trial.should_prune():
                return True
        return False

    def _run_fold(
        self, trial: optuna.Trial, config: TrialConfig, split: int, limit: TrialLimit
    ) -> FoldResult:
        bench, key = self._bench, key_of(trial)
        if limit.left <= 0:
            raise limit.passed()
        bench.listener.fold_started(trial.number, split)
        bench.publisher.fold_started(key, split)
        epochs = bench.study.training.epochs
        fold = self._child.run_fold(
            config,
            split,
            lambda m: bench.listener.epoch(trial.number, m["epoch"], epochs, m["loss"]),
            limit,
        )
        book_fold(trial, fold)
        bench.publisher.fold_done(key, fold)
        return fold

    def _running_value(self, folds: dict[int, FoldResult]) -> float | None:
        """The study's metric over the folds so far: the running mean that pruners compare."""
        metrics = pooled_metrics([folds[split].scores for split in sorted(folds)])
        return metrics[self._bench.study.search.metric]

    def _end(
        self, trial: optuna.Trial, folds: dict[int, FoldResult], cause: str, message: str, details: str = ""
    ) -> None:
        value = self._running_value(folds)
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
                requeue(self._study, _frozen(trial), ending.cause, self._bench.folder.reaper_lock)
        else:
            if message:
                trial.set_user_attr("error", message)
            state = TrialState[ending.state]
            self._study.tell(trial, value if state == TrialState.COMPLETE else None, state=state)
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
