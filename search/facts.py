"""What is published of a study and its trials, as Optuna's record tells it; the cohort is not needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import optuna
from optuna.trial import FrozenTrial, TrialState

from search.booking import counts, is_superseded, place_in_line, settings_of
from search.claims import trial_seed
from search.endings import ENDINGS, Ending
from search.pseudonyms import PSEUDONYMS, Names, names_of
from search.records import TrialConfig
from search.statistics.selection import Rule

# Why a trial ended whose record is older than the record of it.
TOLD_BY_STATE = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned"}


def rule_of(study: optuna.Study) -> Rule:
    """How a study selects, as frozen at its start; the default rule for one that is older than the record."""
    identity = study.user_attrs.get("identity", {})
    return Rule(identity.get("search.selection", Rule().name), identity.get("search.top"))


@dataclass(frozen=True)
class StudyFacts:
    """What a study's runs say of its dataset.

    Attributes:
        cohort: Its name.
        participants: How many there are.
        biopsies: How many are trained and scored on.
        positive: How many of these have label 1.
        threshold: The cut that made the labels, in the label's unit.
        patches: Hash of the patches.
        fold_table: Hash of the folds.
        splits: How many folds a trial has, repeats counted.
        complete: The rows of the biopsies that have every sequence; None where all have.
    """

    cohort: str
    participants: int
    biopsies: int
    positive: int
    threshold: float
    patches: str
    fold_table: str
    splits: int
    complete: tuple[int, ...] | None = None

    @classmethod
    def of(cls, opened: optuna.Study) -> StudyFacts:
        """The facts that `search.opening.open_study` booked."""
        attrs = opened.user_attrs
        cohort, folds = attrs["cohort"], attrs["folds"]
        return cls(
            cohort=cohort["name"],
            participants=int(cohort["participants"]),
            biopsies=int(cohort["biopsies"]),
            positive=int(cohort["positive"]),
            threshold=float(cohort["threshold"]),
            patches=attrs["identity"]["cohort.patches"],
            fold_table=folds["hash"],
            splits=int(folds["n"]) * int(folds["repeats"]),
            complete=None if cohort.get("complete") is None else tuple(cohort["complete"]),
        )

    @property
    def pseudonyms(self) -> Names:
        """The pseudonyms, which merely count."""
        biopsies, participants = map(str, range(self.biopsies)), map(str, range(self.participants))
        return names_of(tuple(biopsies), tuple(participants), PSEUDONYMS)


def config_of(trials: Sequence[FrozenTrial], trial: FrozenTrial, study_seed: int) -> TrialConfig:
    """What a trial that was handed out is.

    Args:
        trials: All trials of its study.
        trial: One of them.
        study_seed: The study's `search.seed`.
    """
    place = trial.user_attrs.get("place")
    if place is None:
        place = place_in_line(trials, trial.number)
    return TrialConfig(settings_of(trial), trial_seed(study_seed, int(place)))


def ending_of(trial: FrozenTrial) -> Ending:
    """How a finished trial ended, and whether a copy takes its place."""
    cause = trial.user_attrs.get("ending", TOLD_BY_STATE.get(trial.state, "failed"))
    ending = ENDINGS.get(cause, ENDINGS["failed"])
    return Ending(ending.cause, ending.state, ending.run_status, is_superseded(trial), ending.constraint)


def message_of(trial: FrozenTrial) -> str:
    """What is said of a trial's ending beyond its cause."""
    message = str(trial.user_attrs.get("error", ""))
    return "" if message == ending_of(trial).cause else message


def study_metrics(study: optuna.Study) -> dict[str, float]:
    """How many trials were handed out, and the best complete one."""
    trials = study.get_trials(deepcopy=False)
    metrics = {"trials": float(sum(map(counts, trials)))}
    if any(trial.state == TrialState.COMPLETE for trial in trials):
        metrics |= {"best_value": study.best_value, "best_trial": float(study.best_trial.number)}
    return metrics
