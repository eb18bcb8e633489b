"""What a trial carries in the storage, and how a lost one is taken up again.

Each finished fold is a system attribute of its trial before the next fold begins; a trial whose process
died is failed, and a waiting copy with the same parameters and the finished folds takes its place. The copy's
`key` is the number of the first trial of that line: pictures and MLflow runs go by the key, so that a copy
continues them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import JournalStorage
from optuna.trial import FrozenTrial, TrialState

from search.domains import Value
from search.endings import ENDINGS, UNBOUNDED, decide
from search.feasible import logical_name
from search.heartbeat import silent_trials, stale_trials
from search.metrics import DIRECTIONS
from search.owner import Owner
from search.patient import PatientStorage, glance
from search.records import FoldResult
from search.study_lock import Lock, locked
from search.versions import software_versions

# System attributes, as optuna-dashboard prints user attributes whole, on one line each.
FOLD, SETTINGS, VERSIONS = "radsearch:fold:", "radsearch:settings", "radsearch:versions"
LEFT = "radsearch:left"  # of a running trial whose process went while the database was away
UNOWNED_SECONDS = 60  # a trial without an owner for so long lost its process before it was booked
KEPT = (FOLD, SETTINGS, "fixed_params")
# Of one process' attempt; a copy starts without them.
OWN_ATTRIBUTES = {"owner", "fate", "error", "ending", *DIRECTIONS, *(e.constraint for e in ENDINGS.values())}


def finished_folds(trial: FrozenTrial) -> dict[int, FoldResult]:
    """The finished folds of a trial, by split, in order."""
    folds = [FoldResult.from_json(text) for name, text in trial.system_attrs.items() if name.startswith(FOLD)]
    return {fold.split: fold for fold in sorted(folds, key=lambda fold: fold.split)}


def book_fold(trial: optuna.Trial, fold: FoldResult) -> None:
    """Make a finished fold durable."""
    trial.storage.set_trial_system_attr(trial._trial_id, f"{FOLD}{fold.split}", fold.to_json())


def book_settings(trial: optuna.Trial, settings: Mapping[str, Value]) -> None:
    """Keep every parameter in force, sampled or default."""
    trial.storage.set_trial_system_attr(trial._trial_id, SETTINGS, json.dumps(settings))


def booked_settings(trial: FrozenTrial) -> dict[str, Value] | None:
    """Every parameter in force of a trial, or of the one that it is a copy of; None before it was booked."""
    text = trial.system_attrs.get(SETTINGS)
    return json.loads(text) if text else None


def book_versions(trial: optuna.Trial) -> None:
    """Keep which software runs the trial; a copy, which may run elsewhere or later, books its own."""
    trial.storage.set_trial_system_attr(trial._trial_id, VERSIONS, json.dumps(software_versions()))


def booked_versions(trial: FrozenTrial) -> dict[str, str] | None:
    """The software that ran the trial, by package; None for a trial older than the record of it."""
    text = trial.system_attrs.get(VERSIONS)
    return json.loads(text) if text else None


def settings_of(trial: FrozenTrial) -> dict[str, Value]:
    """Every parameter in force; of a trial that waits, those that are fixed already."""
    booked = booked_settings(trial)
    return {logical_name(name): value for name, value in trial.params.items()} if booked is None else booked


def key_of(trial: FrozenTrial | optuna.Trial) -> int:
    """The number under which the trial's pictures and MLflow runs go."""
    return int(trial.user_attrs.get("key", trial.number))


def is_superseded(trial: FrozenTrial) -> bool:
    """Whether a copy has taken, or is about to take, this trial's place."""
    return trial.state == TrialState.FAIL and trial.user_attrs.get("fate") == "requeue"


def counts(trial: FrozenTrial) -> bool:
    """Whether the trial counts as one of those asked for: handed out, and not replaced by a copy."""
    return trial.state != TrialState.WAITING and not is_superseded(trial)


def place_in_line(trials: Sequence[FrozenTrial], number: int | None = None) -> int:
    """How many trials come before one, copies of lost trials not counted.

    The place is the same whether or not earlier trials were interrupted, so that seeds can be made from it.

    Args:
        trials: All trials of the study.
        number: The trial; None for the one that will be handed out next.
    """
    if number is None:
        waiting = (trial for trial in trials if trial.state == TrialState.WAITING)
        following = min(waiting, key=lambda trial: trial.number, default=None)
        if following is not None and "place" in following.user_attrs:
            return int(following.user_attrs["place"])
        # A copy of a trial that died before its place was booked stands where that one stood.
        number = len(trials) if following is None else key_of(following)
    return sum("retry_of" not in trial.user_attrs for trial in trials if trial.number < number)


def requeue(study: optuna.Study, trial: FrozenTrial, cause: str, lock: Lock) -> None:
    """Fail a trial and put a copy in its place, unless it was retried too often.

    Args:
        study: The study.
        trial: The trial, running.
        cause: How it ended, a key of `search.endings.ENDINGS`.
        lock: The study's lock of whoever makes copies, so that two never make one each.
    """

    def take_back() -> None:
        _fail(study, trial, cause)
        make_copies(study, trial.number)

    locked(lock, take_back)


def _fail(study: optuna.Study, trial: FrozenTrial, cause: str) -> bool:
    """Fail a trial, unless somebody else ended it first; returns whether it was done.

    What is to become of it is written before: who dies then, or before the copy, leaves a trial for
    `make_copies`.
    """
    ending = decide(cause, int(trial.user_attrs.get("retries", 0)))
    storage = study._storage
    try:
        storage.set_trial_user_attr(trial._trial_id, "ending", cause)
        storage.set_trial_user_attr(trial._trial_id, "error", cause)
        storage.set_trial_user_attr(trial._trial_id, "fate", "requeue" if ending.retry else "final")
        storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
    except UpdateFinishedTrialError:
        return False
    return True


def make_copies(study: optuna.Study, number: int | None = None) -> None:
    """Make the copies that are missing: of trials to be requeued which no trial names as its origin.

    Args:
        study: The study.
        number: Look at this trial alone; None for all.
    """
    for trial in uncopied(glance(study)):
        if number is None or trial.number == number:
            study.add_trial(_copy(trial))


def uncopied(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Trials to be requeued that have no copy yet."""
    origins = {trial.user_attrs.get("retry_of") for trial in trials}
    return [trial for trial in trials if is_superseded(trial) and trial.number not in origins]


def _copy(trial: FrozenTrial) -> FrozenTrial:
    kept = {name: value for name, value in trial.user_attrs.items() if name not in OWN_ATTRIBUTES}
    lost = trial.user_attrs.get("error") not in UNBOUNDED
    kept |= {"retry_of": trial.number, "key": key_of(trial), "retries": int(kept.get("retries", 0)) + lost}
    sampled = SETTINGS in trial.system_attrs  # else the seed draws all of them once more, and the same
    return optuna.create_trial(
        state=TrialState.WAITING,
        params=trial.params if sampled else {},
        distributions=trial.distributions if sampled else {},
        user_attrs=kept,
        system_attrs={k: v for k, v in trial.system_attrs.items() if k.startswith(KEPT)},
        intermediate_values=trial.intermediate_values,
    )


def reap(
    study: optuna.Study, lock: Lock, lost: Callable[[FrozenTrial], None] = lambda trial: None
) -> list[int]:
    """Requeue the running trials whose owner is dead; returns their numbers.

    Args:
        study: The study.
        lock: The study's lock, which keeps two reapers apart.
        lost: Called with each such trial when it has failed, before anybody can take its copy up.
    """
    begun: list[int] = []

    def take_up() -> None:
        make_copies(study)
        for trial in glance(study):
            if trial.number in begun and is_superseded(trial):
                lost(trial)  # the database went away before it was told
        for trial in _dead(study, _running(study)):
            begun.append(trial.number)  # before: what is carried out and not answered is told all the same
            # Whoever died between asking and signing has run nothing of it.
            if _fail(study, trial, _cause(trial)):
                lost(study._storage.get_trial(trial._trial_id))
                make_copies(study, trial.number)

    trials = glance(study)  # may lack an owner, which is found under the lock
    if _dead(study, trials) or uncopied(trials):
        locked(lock, take_up)
    return begun


def _running(study: optuna.Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))


def _dead(study: optuna.Study, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Those of some trials that run and whose process is gone.

    Under the study's lock that is also a trial without an owner: whoever asks for a trial holds the lock
    until it has one. (Two processes on an SQLite database, which has no such lock, are refused.)
    """
    running = [trial for trial in trials if trial.state == TrialState.RUNNING]
    if not running:
        return []
    has_lock, stale = isinstance(study._storage, JournalStorage | PatientStorage), stale_trials(study)
    return [
        trial
        for trial in running
        if is_orphan(trial) or trial._trial_id in stale or (has_lock and "owner" not in trial.user_attrs)
    ]


def _cause(trial: FrozenTrial) -> str:
    """How a trial ends whose process is gone, if it had one already, or left of its own will."""
    return "interrupted" if "owner" not in trial.user_attrs or LEFT in trial.system_attrs else "owner lost"


def at_work(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that other processes run, as far as is known."""
    running = _running(study)
    me, silent = str(Owner.of()), silent_trials(study)
    others = [trial for trial in running if trial.user_attrs.get("owner", me) != me]
    return [trial for trial in others if not is_orphan(trial) and trial._trial_id not in silent]


def is_orphan(trial: FrozenTrial) -> bool:
    """Whether the process that runs the trial is known to be dead."""
    owner = trial.user_attrs.get("owner")
    if owner is not None:
        return Owner.parse(owner).is_dead
    started = trial.datetime_start
    if started is None:
        return False
    return (datetime.now(UTC) - started.astimezone(UTC)).total_seconds() > UNOWNED_SECONDS
