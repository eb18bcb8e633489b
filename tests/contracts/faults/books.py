"""What a study's storage says, read through Optuna itself, and whether it can be true."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._storage import JournalOperation
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

FOLD, SETTINGS = "radsearch:fold:", "radsearch:settings"
LOST = ("owner lost", "child lost")
MOST_RETRIES = 2
PATIENCE = 120.0  # seconds that a database may be away which somebody is about to start again
STATES = {
    "complete": "COMPLETE",
    "pruned": "PRUNED",
    "child lost": "FAIL",
    "owner lost": "FAIL",
}


@dataclass(frozen=True)
class Line:
    """A trial that was asked for: its first attempt and the copies that took its place."""

    trials: tuple[FrozenTrial, ...]

    @property
    def key(self) -> int:
        return self.trials[0].number

    @property
    def last(self) -> FrozenTrial:
        return self.trials[-1]

    @property
    def ending(self) -> str | None:
        return self.last.user_attrs.get("ending")

    @cached_property
    def booked(self) -> dict[int, str]:
        """The finished folds as they were booked, by split; the latest copy's."""
        return folds_of(self.last)

    @property
    def settings(self) -> dict[str, Any] | None:
        text = self.last.system_attrs.get(SETTINGS)
        return json.loads(text) if text else None

    @property
    def results(self) -> dict[str, Any]:
        """All that must be the same in an undisturbed run."""
        folds = {split: json.loads(text) for split, text in self.booked.items()}
        return {
            "settings": self.settings,
            "params": self.last.params,
            "state": self.last.state.name,
            "ending": self.ending,
            "value": self.last.value if self.last.state == TrialState.COMPLETE else None,
            "steps": self.last.intermediate_values,
            "place": self.last.user_attrs.get("place"),
            "probabilities": {split: fold["probabilities"] for split, fold in folds.items()},
            "thresholds": {split: fold["threshold"] for split, fold in folds.items()},
        }


def folds_of(trial: FrozenTrial) -> dict[int, str]:
    """The booked folds of one trial, by split."""
    names = sorted(name for name in trial.system_attrs if name.startswith(FOLD))
    return {int(name.removeprefix(FOLD)): trial.system_attrs[name] for name in names}


class Books:
    """The storage of one study.

    Args:
        home: Where the journal lies.
        name: The study.
        url: Of the database that holds the study; None for the journal.
    """

    def __init__(self, home: Path, name: str, url: str | None = None) -> None:
        self._home, self._name, self._url = home, name, url
        self._storage: BaseStorage | None = None

    def trials(self, patience: float = PATIENCE) -> list[FrozenTrial]:
        """All trials of the study as they are now; none before it exists.

        Raises:
            OperationalError, StorageInternalError: The database is away for more than `patience` seconds.
        """
        deadline = time.monotonic() + patience
        while True:
            try:
                return self._read()
            except (OperationalError, StorageInternalError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def _read(self) -> list[FrozenTrial]:
        storage = self._opened()
        if storage is None or self._name not in optuna.get_all_study_names(storage):
            return []
        return storage.get_all_trials(storage.get_study_id_from_name(self._name), deepcopy=True)

    def _opened(self) -> BaseStorage | None:
        if self._url is not None:
            if self._storage is None:
                # Nothing is kept between two looks, and what one look sees is of one moment.
                options = {"poolclass": NullPool, "isolation_level": "REPEATABLE READ"}
                self._storage = RDBStorage(self._url, engine_kwargs=options, skip_table_creation=True)
            return self._storage
        journal = self._home / "optuna.journal"
        if self._storage is None and journal.exists():
            self._storage = JournalStorage(JournalFileBackend(str(journal)))
        if isinstance(self._storage, JournalStorage):
            self._storage._sync_with_backend()
        return self._storage


def lines_of(trials: Sequence[FrozenTrial]) -> list[Line]:
    """The trials asked for, in order; of a copy that names no origin, or one named twice, see `forks`."""
    copies = {trial.user_attrs.get("retry_of"): trial for trial in trials if "retry_of" in trial.user_attrs}
    lines = []
    for first in trials:
        if "retry_of" in first.user_attrs:
            continue
        chain = [first]
        while (following := copies.get(chain[-1].number)) is not None:
            chain.append(following)
        lines.append(Line(tuple(chain)))
    return lines


def lost(before: Sequence[FrozenTrial], now: Sequence[FrozenTrial]) -> Iterator[str]:
    """What an earlier look at the storage showed and a later one does not, or shows otherwise."""
    if len(now) < len(before):
        yield f"{len(before)} trials were there, now {len(now)}"
    lines = {trial.number: line for line in lines_of(now) for trial in line.trials}
    for then, trial in zip(before, now, strict=False):
        latest = lines[then.number].booked if then.number in lines else {}
        for split, text in folds_of(then).items():
            if folds_of(trial).get(split) != text:
                yield f"trial {then.number} fold {split} was booked and is gone or was booked again"
            if latest.get(split) != text:
                yield f"trial {then.number} fold {split} was booked, but not taken over by its copy"
        if then.state.is_finished() and (then.state, then.values) != (trial.state, trial.values):
            yield f"trial {then.number} had ended as {then.state.name}, now {trial.state.name}"


def amiss(trials: Sequence[FrozenTrial], asked: int, supervisors: int = 1) -> Iterator[str]:
    """What cannot be true of a study that has come to its end."""
    lines = lines_of(trials)
    if not asked <= len(lines) < asked + supervisors:
        yield f"{asked} trials were asked for, but got {len(lines)}"
    for origin, count in Counter(t.user_attrs.get("retry_of") for t in trials).items():
        if origin is not None and count > 1:
            yield f"trial {origin} has {count} copies"
    if sum(len(line.trials) for line in lines) != len(trials):
        yield "a copy belongs to no line"
    for line in lines:
        yield from (f"trial {line.key}: {text}" for text in _amiss_in(line))


def _amiss_in(line: Line) -> Iterator[str]:
    state, ending = line.last.state.name, line.ending
    if not line.last.state.is_finished():
        yield f"it is {state} at the end"
    elif ending not in STATES or STATES[ending] != state:
        yield f"it ended as {state} with the ending {ending!r}"
    deaths = 0
    for earlier, later in zip(line.trials, line.trials[1:], strict=False):
        cause = earlier.user_attrs.get("ending")
        deaths += cause in LOST
        if (earlier.state, cause in (*LOST, "interrupted")) != (TrialState.FAIL, True):
            yield f"number {earlier.number} has a copy, but ended as {earlier.state.name}, {cause!r}"
        if later.user_attrs.get("retries") != deaths:
            yield f"number {later.number} says {later.user_attrs.get('retries')} retries, not {deaths}"
        if later.user_attrs.get("key") != line.key:
            yield f"number {later.number} has the key {later.user_attrs.get('key')}"
        if not set(folds_of(earlier).items()) <= set(folds_of(later).items()):
            yield f"number {later.number} has not all folds of {earlier.number}"
        if SETTINGS in earlier.system_attrs and earlier.params != later.params:
            yield f"number {later.number} has other parameters than {earlier.number}"
    if deaths > MOST_RETRIES:
        yield f"it was retried after {deaths} deaths"
    if state == "FAIL" and deaths != MOST_RETRIES:
        yield f"it was given up after {deaths} deaths"


def journal_amiss(home: Path) -> Iterator[str]:
    """Whether the journal can be read line by line, and tells every trial's end once."""
    *lines, rest = (home / "optuna.journal").read_bytes().split(b"\n")
    if rest:
        yield f"the journal ends in half a line: {rest[:60]!r}"
    ends: Counter[int] = Counter()
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
        except ValueError:
            yield f"line {number} of the journal is not JSON: {line[:60]!r}"
            continue
        if record.get("op_code") == JournalOperation.SET_TRIAL_STATE_VALUES:
            ends[record["trial_id"]] += TrialState(record["state"]).is_finished()
    yield from (
        f"the journal ends trial id {trial} {count} times" for trial, count in ends.items() if count > 1
    )


def trained_twice(trace: Path, trials: Sequence[FrozenTrial], alone: bool = True) -> Iterator[str]:
    """Folds that were trained again although their result was booked, or had to be.

    Args:
        trace: What light children wrote.
        trials: Of the study at its end; `device` of a fold names its training.
        alone: Whether nobody can have worked on a trial that another took for lost.
    """
    events = [json.loads(line) for line in trace.read_text().splitlines()]
    begun: dict[int, int] = {}
    for event in events if alone else ():
        seed, split = event["seed"], event["split"]
        if event["event"] == "start" and split < begun.get(seed, 0):
            yield f"seed {seed} fold {split} was trained again when fold {begun[seed]} had begun"
        begun[seed] = max(split, begun.get(seed, 0))
    for line in lines_of(trials):
        for split, text in line.booked.items():
            yield from (
                f"trial {line.key} fold {split}: {law}" for law in _amiss_of(json.loads(text), events)
            )


def _amiss_of(fold: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    mine = [index for index, event in enumerate(events) if event["training"] == fold["device"]]
    if [events[index]["event"] for index in mine] != ["start", "end"]:
        yield "it is booked, but that training did not end"
        return
    wanted = ("start", events[mine[0]]["seed"], fold["split"])
    again = [e for e in events[mine[1] :] if (e["event"], e["seed"], e["split"]) == wanted]
    if again:
        yield f"it was booked, and then trained again {len(again)} times"


def different(trials: Sequence[FrozenTrial], undisturbed: Sequence[FrozenTrial]) -> Iterator[str]:
    """Where the results are not those of an undisturbed run; trials that were given up are left out."""
    lines, expected = lines_of(trials), lines_of(undisturbed)
    for place, (line, other) in enumerate(zip(lines, expected, strict=False)):
        if line.last.state == TrialState.FAIL:
            continue
        for name, value in other.results.items():
            if line.results[name] != value:
                yield (
                    f"trial {line.key} (place {place}): {name} is {_short(line.results[name])}, "
                    f"undisturbed {_short(value)}"
                )


def _short(value: Any) -> str:
    text = json.dumps(value) if isinstance(value, Mapping) else repr(value)
    return text if len(text) <= 300 else f"{text[:300]}…"
