"""Stopping a hopeless trial after some of its folds, by a paired test over participants."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from heapq import nlargest

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState
from scipy.stats import t as student

from search.booking import finished_folds
from search.metrics import PROBABILITY_FLOOR, Doubles, Ints, Scores
from search.news import Reader
from search.patient import glance

FALSE_PRUNES = 0.05  # shared out over the looks
REFERENCES, MIN_FOLDS, MIN_PARTICIPANTS = 3, 2, 8


class PairedParticipantPruner(optuna.pruners.BasePruner):
    """Prunes a trial that is worse than the leading ones on the same participants.

    `is_hopeless` decides, by the study's own metric: the mean Brier score of a good ranking may be poor. Of
    each complete trial the folds are read once, and kept only where it leads on some split, so that neither
    time nor memory of a look grows with the study. The slots of a process may share a pruner.

    Args:
        metric: A name of `search.metrics.DIRECTIONS`.
    """

    def __init__(self, metric: str) -> None:
        self._metric = metric
        self._reader = Reader()
        self._leading: dict[int, Parts] = {}  # by number
        self._reading = threading.Lock()

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Whether to stop `trial` here."""
        mine = self._parts(trial)
        if len(mine) < MIN_FOLDS:
            return False
        trials = glance(study)
        with self._reading:
            for other in self._reader.news(trials).ended:
                if other.state == TrialState.COMPLETE:
                    self._leading = leading_on_some_split({**self._leading, other.number: self._parts(other)})
            leading = list(self._leading.values())
        return is_hopeless(mine, leading, self._metric)

    def _parts(self, trial: FrozenTrial) -> Parts:
        folds = finished_folds(trial)
        return Parts({k: part_of(fold.scores, self._metric, fold.repeat) for k, fold in folds.items()})


@dataclass(frozen=True)
class Part:
    """How much each held-out biopsy of a fold adds to a metric.

    The metric, higher being better, is the mean of `value` with the weights `weight`, over one or more folds.

    Attributes:
        repeat: Which of the repeated fold tables the fold belongs to.
        participant: An index per participant, shape (biopsies,).
        value: Shape (biopsies,).
        weight: Shape (biopsies,); a function of labels and folds alone, so that all trials share it.
    """

    repeat: int
    participant: Ints
    value: Doubles
    weight: Doubles

    @cached_property
    def total(self) -> tuple[float, float]:
        """Numerator and denominator of the metric."""
        return float(self.value @ self.weight), float(self.weight.sum())


class Parts(dict[int, Part]):
    """The parts of one trial, by split; not to be changed once `elsewhere` was asked."""

    @cached_property
    def elsewhere(self) -> Mapping[int, float]:
        """By split, the metric over the other folds of that split's repeat; worked out once a trial."""
        return {split: self._without(split) for split in self}

    def _without(self, split: int) -> float:
        repeat = self[split].repeat
        totals = [part.total for k, part in self.items() if k != split and part.repeat == repeat]
        if not totals:
            return -np.inf
        value, weight = np.sum(totals, axis=0)
        return float(value / weight) if weight else -np.inf


def is_hopeless(mine: Parts, complete: Sequence[Parts], metric: str) -> bool:
    """Whether a trial with the finished splits `mine` is worse than the leading ones of the complete trials.

    After each split from the second but the last, every held-out biopsy is paired with its mean over the
    `REFERENCES` trials that lead on the *other* folds (see `leaders`), and the trial is hopeless where
    `worse_p_value` is below `FALSE_PRUNES` / (number of looks), the correction of Bonferroni. The audit of
    `benchmarks/search_time.py` measures how many equally good trials that prunes.
    """
    whole = [parts for parts in complete if parts.keys() > mine.keys()]
    if len(mine) < MIN_FOLDS or len(whole) < REFERENCES:
        return False
    looks = len(whole[0]) - MIN_FOLDS
    return worse_p_value(mine, whole, metric) < FALSE_PRUNES / looks


def leaders(complete: Sequence[Parts], split: int) -> list[Parts]:
    """The `REFERENCES` complete trials that are best on the other folds of a split's repeat.

    The best trials of a search are best partly by luck. A pairing on the participants by whom they were
    chosen would hold that luck against every later trial, the more so the longer the search; on others they
    have none.
    """
    return nlargest(REFERENCES, complete, key=lambda parts: parts.elsewhere[split])


def leading_on_some_split(complete: Mapping[int, Parts]) -> dict[int, Parts]:
    """Those of some trials, by number, that `leaders` may ever choose, whatever trials are added to them.

    Of equals it takes the first by number, as `leaders` does of trials in that order.
    """
    in_order = dict(sorted(complete.items()))
    kept: set[int] = set()
    for split in {split for parts in in_order.values() for split in parts}:
        kept |= {id(parts) for parts in leaders([p for p in in_order.values() if split in p], split)}
    return {number: parts for number, parts in in_order.items() if id(parts) in kept}


def worse_p_value(mine: Parts, complete: Sequence[Parts], metric: str) -> float:
    """One-sided p-value of a trial's splits against "at least as good as the leaders are on average".

    A t test over participants on what each adds to the difference in the metric. For `roc_auc` that is the
    sum of its biopsies' placements, as positives and as negatives, centred (Obuchowski, Biometrics 1997, with
    one factor I/(I-1)). The participants' mean placements alone would make the error too small by sqrt(2), as
    every pair has two ends.

    Returns:
        1.0 where fewer than `MIN_PARTICIPANTS` tell anything.
    """
    participant, deficit, weight = _paired(mine, complete)
    people, place = np.unique(participant, return_inverse=True)
    if len(people) < MIN_PARTICIPANTS:
        return 1.0
    mean = float(deficit @ weight / weight.sum())
    added = np.bincount(place, weight * (deficit - mean)) * _ENDS.get(metric, 1) / weight.sum()
    error = float(np.sqrt(len(people) / (len(people) - 1) * (added @ added)))
    if error == 0:
        return 0.0 if mean > 0 else 1.0
    return float(student.sf(mean / error, len(people) - 1))


def _paired(mine: Parts, complete: Sequence[Parts]) -> tuple[Ints, Doubles, Doubles]:
    """Participant, deficit against the leaders, and weight of every biopsy that has a weight."""
    deficits = [
        np.mean([other[split].value for other in leaders(complete, split)], axis=0) - part.value
        for split, part in mine.items()
    ]
    participant = np.concatenate([part.participant for part in mine.values()])
    weight = np.concatenate([part.weight for part in mine.values()])
    tells = weight > 0
    return participant[tells], np.concatenate(deficits)[tells], weight[tells]


def part_of(scores: Scores, metric: str, repeat: int = 0) -> Part:
    """What each biopsy of a fold adds to the metric.

    For `roc_auc`, its placement: the share of the fold's biopsies of the other class against which it is
    ranked rightly (a tie counts a half), weighted by their number. `f1` is no mean over biopsies; whether the
    predicted label is right stands in for it.
    """
    value, weight = _PARTS[metric](scores)
    return Part(repeat, scores.participant, value, weight)


def _placements(scores: Scores, group: Ints) -> tuple[Doubles, Doubles]:
    """Placement of each biopsy among the other class of its group, and that class' size there."""
    sign = 2 * scores.label - 1
    opposed = (sign[:, None] != sign[None]) & (group[:, None] == group[None])
    ahead = (scores.probability[:, None] - scores.probability[None]) * sign[:, None]
    weight = opposed.sum(axis=1).astype(float)
    won = np.where(opposed, (ahead > 0) + (ahead == 0) / 2, 0.0).sum(axis=1)
    return won / np.maximum(weight, 1.0), weight


def _mean_of(value: Callable[[Scores], Doubles]) -> Callable[[Scores], tuple[Doubles, Doubles]]:
    return lambda scores: (value(scores), np.ones(len(scores.label)))


def _log_likelihood(scores: Scores) -> Doubles:
    right = np.where(scores.label == 1, scores.probability, 1 - scores.probability)
    return np.asarray(np.log(np.clip(right, PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR)))


def _is_right(scores: Scores) -> Doubles:
    return np.asarray(scores.predicted == scores.label, dtype=float)


_PARTS: dict[str, Callable[[Scores], tuple[Doubles, Doubles]]] = {
    "roc_auc": lambda scores: _placements(scores, np.zeros_like(scores.participant)),
    "within_participant_auc": lambda scores: _placements(scores, scores.participant),
    "accuracy": _mean_of(_is_right),
    "f1": _mean_of(_is_right),
    "brier": _mean_of(lambda scores: -((scores.probability - scores.label) ** 2)),
    "log_loss": _mean_of(_log_likelihood),
}
_ENDS = {"roc_auc": 2}  # participants at the two ends of a pair; otherwise a participant adds on its own
