"""The keys of a study's runs: what they name, and which of them a comparison looks at."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from search.ledger import FoundRun
from search.mlflow_store.runs import OPENED_TAG
from search.publishing import STUDY


@dataclass(frozen=True)
class Scope:
    """Which runs of a study are compared.

    Attributes:
        known: The keys of every trial that Optuna has.
        splits: How many folds a trial has.
        busy: The keys of trials that somebody works on; theirs are let be.
        live: Whether a process works on the study: its own run is let be, and runs of trials that are not
            known may be younger than what was read of Optuna.
        began: When the examination began, in milliseconds since 1970.
    """

    known: Collection[int]
    splits: int
    busy: Collection[int]
    live: bool
    began: int

    def leaves_alone(self, key: str) -> bool:
        """Whether the run of a key is let be."""
        trial, _ = parts_of(key)
        if trial is None:
            return self.live and key == STUDY
        return trial in self.busy or (self.live and trial not in self.known)

    def may_end(self, run: FoundRun) -> bool:
        """Whether a run may be ended or deleted: whoever opened it since the examination began is at it."""
        opened = run.tags.get(OPENED_TAG, "")
        return not opened.isdecimal() or int(opened) <= self.began

    def has(self, key: str) -> bool:
        """Whether the study has, or may have, such a run."""
        trial, split = parts_of(key)
        if trial is None:
            return key == STUDY
        return trial in self.known and (split is None or split < self.splits)


def subject_of(key: str) -> str:
    """A key in words.

    >>> subject_of("trial/3/fold/0"), subject_of("trial/3"), subject_of("study")
    ('fold 0 of trial 3', 'trial 3', 'the study')
    """
    trial, split = parts_of(key)
    if trial is None:
        return "the study" if key == STUDY else repr(key)
    return f"trial {trial}" if split is None else f"fold {split} of trial {trial}"


def parts_of(key: str) -> tuple[int | None, int | None]:
    """The trial's key and the fold of a tracking key; None where it names none."""
    match key.split("/"):
        case ["trial", trial] if trial.isdecimal():
            return int(trial), None
        case ["trial", trial, "fold", split] if trial.isdecimal() and split.isdecimal():
            return int(trial), int(split)
    return None, None
