"""Folds that were finished while the database was away: on this machine's disk until it has them.

A file a trial, kept as `search.spool` keeps its own: each fold is on the disk before the next begins, the
file is locked while its writer lives, and whoever next works with this home takes over those of the dead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TypeAlias

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from search.booking import FOLD, LEFT, is_superseded, key_of, make_copies
from search.records import FoldResult
from search.spool import Event, SpoolFile, adopt_orphans, dead_files, peek
from search.study_lock import Lock, locked

Booked: TypeAlias = Callable[[int, FoldResult], None]  # gets the key of a trial and a fold that it has now
Place: TypeAlias = tuple[int, int]  # the number of a trial and a split


class UnbookedFile:
    """What the database lacks of one trial.

    Args:
        folder: Where such files lie; made if it is missing.
        study_id: The study, as `search.opening.study_id` names it.
        number: The trial.

    Raises:
        OSError: The disk refused it; so do all methods but `discard`.
    """

    def __init__(self, folder: Path, study_id: str, number: int) -> None:
        self._head = {"study": study_id, "trial": number}
        self._file = SpoolFile.create(folder)
        self._kept: set[int] = set()

    def keep(self, folds: Sequence[FoldResult]) -> None:
        """Write those folds durably that are not in the file."""
        fresh = [fold for fold in folds if fold.split not in self._kept]
        if fresh:
            self._file.append(*({**self._head, "fold": fold.to_json()} for fold in fresh))
        self._kept |= {fold.split for fold in fresh}

    def note_leaving(self) -> None:
        """Write that the trial's process goes by itself, and does not die."""
        self._file.append({**self._head, "left": True})

    def settle(self, study: optuna.Study, lock: Lock, booked: Booked) -> list[Place]:
        """Have what is kept booked on what has become of the trial; see `adopt`."""
        return _settle(self._file, study, lock, booked)

    def close(self) -> None:
        """Leave the file to whoever works with this home next; it is removed where nothing is left in it."""
        self._file.close()

    def discard(self) -> None:
        """Remove the file, as the database has it all."""
        self._file.discard()


def adopt(study: optuna.Study, folder: Path, lock: Lock, booked: Booked) -> list[Place]:
    """Book what dead processes of this home left; to be done before their trials are taken up again.

    A fold goes to its trial, or, where somebody took that one up meanwhile, to the copy that waits in its
    place. One that is there already stays. A copy that runs belongs to its process: what it lacks is kept
    until it has the fold by itself, or waits once more. What a finished trial lacks is dropped.

    Args:
        study: The study; files of another one of its name are left alone.
        folder: Where such files lie.
        lock: The study's lock.
        booked: Called for each fold of the files that a trial has now which goes on.

    Returns:
        Where folds were booked.

    Raises:
        OSError: The disk refused to have a file read or removed.
    """
    found: list[Place] = []
    with ExitStack() as stack:
        files = adopt_orphans(folder)
        for file in files:
            stack.callback(file.close)
        for file in files:
            found += _settle(file, study, lock, booked)
    return found


def foresee(study: optuna.Study, folder: Path) -> list[Place]:
    """Where folds would be that `adopt` would book; no file is changed.

    Args:
        study: A copy of the study, in which copies that are missing are made.
        folder: Where the files lie.
    """
    make_copies(study)
    trials, found = study.get_trials(deepcopy=False), list[Place]()
    for record in (record for path in dead_files(folder) for record in _records(peek(path), study)):
        fate, trial = _fate(record, trials)
        if fate == _Fate.BOOK and record.fold is not None and trial is not None:
            found.append((trial.number, record.fold.split))
    return found


@dataclass(frozen=True)
class _Record:
    """A line of a file: a fold, or, without one, that the process of the trial went by itself."""

    number: int
    fold: FoldResult | None
    text: str | bool

    @classmethod
    def of(cls, event: Event) -> _Record | None:
        """The record in a line; None for one that cannot be understood."""
        try:
            text = event.get("fold", True)
            return cls(int(event["trial"]), None if text is True else FoldResult.from_json(text), text)
        except (KeyError, TypeError, ValueError):
            return None

    @property
    def name(self) -> str:
        """Of the attribute that it becomes."""
        return LEFT if self.fold is None else f"{FOLD}{self.fold.split}"


class _Fate(Enum):
    """What becomes of a record."""

    BOOK = "it goes to a trial"
    THERE = "it is there"
    LATER = "it is to be looked at again"
    NEVER = "nobody needs it"


def _records(events: Sequence[Event], study: optuna.Study) -> list[_Record]:
    """What the lines of a file say; nothing where it is another study's."""
    mine = study.user_attrs["id"]
    found = (_Record.of(event) for event in events if event.get("study") == mine)
    return [record for record in found if record is not None]


def _settle(file: SpoolFile, study: optuna.Study, lock: Lock, booked: Booked) -> list[Place]:
    """Book what a file holds, and note that it is delivered unless some of it is to be looked at again."""
    entries = file.read(file.left)
    records = _records([entry.event for entry in entries], study)
    if not records:
        return []
    written: dict[Place, None] = {}
    outcomes = locked(lock, lambda: _book_all(records, study, written))
    for record, (fate, trial) in zip(records, outcomes, strict=True):
        if fate == _Fate.THERE and record.fold is not None and trial is not None:
            booked(key_of(trial), record.fold)
    if all(fate != _Fate.LATER for fate, _ in outcomes):
        file.commit(entries[-1].end, len(entries))
    return list(written)


def _book_all(
    records: Sequence[_Record], study: optuna.Study, written: dict[Place, None]
) -> list[tuple[_Fate, FrozenTrial | None]]:
    """Book the records, under the study's lock; `written` gets the places of the folds, in order.

    What is done twice, as the database went away meanwhile, does no more than once.
    """
    make_copies(study)  # a waiting copy can be given a fold, the failed trial that it is to be made of cannot
    trials = study.get_trials(deepcopy=False)
    outcomes = []
    for record in records:
        fate, trial = _fate(record, trials)
        if fate == _Fate.BOOK and trial is not None:
            fate = _book(record, study, trial, written)
        outcomes.append((fate, trial))
    return outcomes


def _book(record: _Record, study: optuna.Study, trial: FrozenTrial, written: dict[Place, None]) -> _Fate:
    try:
        study._storage.set_trial_system_attr(trial._trial_id, record.name, record.text)
    except UpdateFinishedTrialError:  # it has ended in this moment
        return _Fate.LATER
    if record.fold is not None:
        written[trial.number, record.fold.split] = None
    return _Fate.THERE


def _fate(record: _Record, trials: Sequence[FrozenTrial]) -> tuple[_Fate, FrozenTrial | None]:
    """What is to become of a record, and the trial that it is about now."""
    trial = _latest(trials, record.number)
    if trial is None:
        return _Fate.NEVER, None
    is_own, has_ended = trial.number == record.number, trial.state.is_finished()
    if record.fold is None:
        return (_Fate.BOOK if is_own and trial.state == TrialState.RUNNING else _Fate.NEVER), trial
    held = trial.system_attrs.get(record.name)
    if held is not None:
        return (_Fate.THERE if held == record.text and not has_ended else _Fate.NEVER), trial
    if has_ended:
        return (_Fate.LATER if is_superseded(trial) else _Fate.NEVER), trial
    is_anothers = trial.state == TrialState.RUNNING and not is_own
    return (_Fate.LATER if is_anothers else _Fate.BOOK), trial


def _latest(trials: Sequence[FrozenTrial], number: int) -> FrozenTrial | None:
    """The trial that stands in the place of one: itself, or the last copy in its line."""
    copies = {trial.user_attrs.get("retry_of"): trial for trial in trials}
    trial = next((trial for trial in trials if trial.number == number), None)
    while trial is not None and (copy := copies.get(trial.number)) is not None:
        trial = copy
    return trial
