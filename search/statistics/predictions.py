"""Out-of-fold predictions of the trials of a study, as arrays that every statistic starts from.

Rows are biopsies by their place in the study's dataset; the cohort itself is not needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import optuna
from optuna.trial import FrozenTrial, TrialState

from search.booking import finished_folds, is_superseded, settings_of
from search.domains import Value
from search.metrics import Doubles, Ints
from search.records import FoldResult

Booleans = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Outputs:
    """What one model, or an ensemble of several, said of n biopsies in r repeats of the folds.

    Attributes:
        label: 0 or 1, shape (r, n).
        participant: An index per participant, shape (n,).
        fold: Which fold of the repeat held the biopsy out, shape (r, n).
        score: By which biopsies of one fold are ranked, shape (r, n).
        probability: Of label 1, shape (r, n).
        predicted: The predicted label, 0 or 1, shape (r, n).
    """

    label: Ints
    participant: Ints
    fold: Ints
    score: Doubles
    probability: Doubles
    predicted: Ints


@dataclass(frozen=True, eq=False)
class Predictions:
    """What c configurations said of n biopsies while these were held out, in r repeats of the folds.

    Attributes:
        label: 0 or 1 by the cut of the fold that held the biopsy out, shape (r, n).
        participant: An index per participant, shape (n,).
        fold: Which fold of the repeat held the biopsy out, shape (r, n).
        probability: Of label 1, shape (c, r, n).
        threshold: The probability above which the model of that fold says 1, shape (c, r, n).
        trials: Number of the trial behind each configuration.
        settings: Every parameter in force of each configuration.
        parameters: Trainable parameters of each, by which "simplest" is judged; shape (c,).
        default: Which configuration is the untuned one, the study's first trial; None where it did not
            complete.
        handed_out: How many trials were handed out, also those that failed or were pruned.
    """

    label: Ints
    participant: Ints
    fold: Ints
    probability: Doubles
    threshold: Doubles
    trials: tuple[int, ...]
    settings: tuple[Mapping[str, Value], ...]
    parameters: Doubles
    default: int | None
    handed_out: int

    @property
    def predicted(self) -> Ints:
        """The predicted label, shape (c, r, n)."""
        return (self.probability > self.threshold).astype(np.int64)

    def outputs(self, configuration: int) -> Outputs:
        """What one configuration said."""
        probability = self.probability[configuration]
        predicted = self.predicted[configuration]
        return Outputs(self.label, self.participant, self.fold, probability, probability, predicted)

    def take(self, configurations: Sequence[int]) -> Predictions:
        """The same of some configurations, in that order."""
        index = list(configurations)
        default = index.index(self.default) if self.default in index else None
        return replace(
            self,
            probability=self.probability[index],
            threshold=self.threshold[index],
            trials=tuple(self.trials[i] for i in index),
            settings=tuple(self.settings[i] for i in index),
            parameters=self.parameters[index],
            default=default,
        )


class UnequalFoldsError(ValueError):
    """Trials that were not scored on the same biopsies, which no statistic can compare."""


def predictions_of(study: optuna.Study) -> Predictions | None:
    """The predictions of the complete trials; None while there is none.

    Pruned trials have no prediction of some biopsies, and no rule selects one.

    Raises:
        UnequalFoldsError: They were not scored on the same folds.
    """
    trials = [trial for trial in study.get_trials(deepcopy=False) if not is_superseded(trial)]
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    folds = {trial.number: tuple(finished_folds(trial).values()) for trial in complete}
    complete = [trial for trial in complete if folds[trial.number]]
    if not complete:
        return None
    default = default_trial(trials)
    numbers = tuple(trial.number for trial in complete)
    return assemble(
        [folds[number] for number in numbers],
        trials=numbers,
        settings=[settings_of(trial) for trial in complete],
        default=numbers.index(default) if default in numbers else None,
        handed_out=sum(trial.state != TrialState.WAITING for trial in trials),
    )


def assemble(
    folds: Sequence[Sequence[FoldResult]],
    trials: Sequence[int],
    settings: Sequence[Mapping[str, Value]],
    default: int | None,
    handed_out: int,
) -> Predictions:
    """Put the folds of several configurations together.

    Args:
        folds: All folds of all repeats of each configuration; the same folds for every configuration.
        trials: Number of the trial behind each.
        settings: Every parameter in force of each.
        default: Which configuration is the untuned one, if any.
        handed_out: How many trials were handed out.

    Raises:
        UnequalFoldsError: The configurations were not scored on the same folds.
    """
    asked = _asked(folds[0])
    if any((part < 0).any() for part in asked):
        raise UnequalFoldsError("every trial must have a prediction of every biopsy in every repeat")
    said = [_said(results, asked) for results in folds]
    label, participant, fold = asked
    return Predictions(
        label,
        participant,
        fold,
        probability=np.stack([probability for probability, _ in said]),
        threshold=np.stack([threshold for _, threshold in said]),
        trials=tuple(trials),
        settings=tuple(settings),
        parameters=np.array([results[0].trainable_parameters for results in folds], dtype=np.float64),
        default=default,
        handed_out=handed_out,
    )


def _asked(folds: Sequence[FoldResult]) -> tuple[Ints, Ints, Ints]:
    """Labels (r, n), participants (n,) and folds (r, n) of one configuration; -1 where it has no biopsy."""
    repeats, size = 1 + max(fold.repeat for fold in folds), 1 + max(max(fold.rows) for fold in folds)
    label, fold_of = np.full((2, repeats, size), -1, dtype=np.int64)
    participant = np.full(size, -1, dtype=np.int64)
    for fold in folds:
        rows = list(fold.rows)
        label[fold.repeat, rows], fold_of[fold.repeat, rows] = fold.labels, fold.fold
        participant[rows] = fold.participants
    return label, participant, fold_of


def _said(folds: Sequence[FoldResult], asked: tuple[Ints, Ints, Ints]) -> tuple[Doubles, Doubles]:
    """Probabilities and thresholds of one configuration, shapes (r, n), of the very biopsies asked for."""
    if not all(np.array_equal(own, other) for own, other in zip(_asked(folds), asked, strict=True)):
        raise UnequalFoldsError("every trial must have the same folds, labels and participants")
    probability, threshold = np.full((2, *asked[0].shape), np.nan)
    for fold in folds:
        rows = list(fold.rows)
        probability[fold.repeat, rows], threshold[fold.repeat, rows] = fold.probabilities, fold.threshold
    return probability, threshold


def default_trial(trials: Sequence[FrozenTrial]) -> int | None:
    """The number of the trial that stands for no tuning: the first of the study.

    The study file's own trials are first in line when a study begins. One enqueued later, when results have
    been looked at, is no default.
    """
    first = min(trials, key=_place, default=None)
    return first.number if first else None


def _place(trial: FrozenTrial) -> int:
    return int(trial.user_attrs.get("place", trial.number))
