"""A metric as the ratio of two sums, in which each participant weighs as often as it was drawn.

A bootstrap of participants needs the metrics of `search.metrics` for hundreds of configurations on thousands
of draws. A draw is a vector of multiplicities m, one a participant. A participant who was drawn twice is two
participants: a pair of biopsies of participants p and q in one fold weighs m_p m_q in `roc_auc` (also where
p = q, as both copies lie in that fold), a pair within participant p weighs m_p in `within_participant_auc`,
a biopsy of p weighs m_p in the others. All biopsies or pairs of equal weight are added up once, so that a
chunk of draws costs one matrix product a fold, and the sums of the AUCs are exact: integers and halves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from search.metrics import DIRECTIONS, PROBABILITY_FLOOR, Doubles, Ints
from search.statistics.predictions import Booleans, Outputs, Predictions

CHUNK = 1 << 21  # doubles of one array, 16 MiB


@dataclass(frozen=True, eq=False)
class Answers:
    """What k models said of the biopsies of all repeats, a row each; shapes (k, repeats x biopsies)."""

    score: Doubles
    probability: Doubles
    predicted: Booleans

    @classmethod
    def of(cls, outputs: Outputs) -> Answers:
        """Those of one model."""
        called = outputs.predicted.reshape(1, -1) == 1
        return cls(outputs.score.reshape(1, -1), outputs.probability.reshape(1, -1), called)


@dataclass(frozen=True, eq=False)
class Terms:
    """What a metric adds up in one fold of one repeat, sorted so that terms of equal weight are neighbours.

    Attributes:
        left: The biopsy of each term, of a pair its positive; indices into repeats x biopsies, shape (t,).
        right: The negative of a pair; the same biopsy where terms are biopsies. Shape (t,).
        first: Place of the participant by whom each group of terms weighs, shape (u,).
        second: The other one, in `roc_auc`; None where a term weighs by one participant.
        starts: Where each group begins, shape (u,).
    """

    left: Ints
    right: Ints
    first: Ints
    second: Ints | None
    starts: Ints

    @property
    def sizes(self) -> Ints:
        """How many terms each group has."""
        return np.diff(self.starts, append=len(self.left)).astype(np.int64)

    def weights(self, multiplicity: Doubles) -> Doubles:
        """The weight of each group in each draw, shapes (b, participants) to (b, u)."""
        weight: Doubles = multiplicity[:, self.first]
        return weight if self.second is None else weight * multiplicity[:, self.second]


Part = Callable[[Booleans, Terms, Answers], tuple[Doubles, Doubles]]
Kind = Literal["pairs", "own pairs", "biopsies"]


def _ranked(label: Booleans, terms: Terms, answers: Answers) -> tuple[Doubles, Doubles]:
    above, below = answers.score[:, terms.left], answers.score[:, terms.right]
    return (above > below) + 0.5 * (above == below), np.ones((1, len(terms.left)))


def _mean_of(loss: Callable[[Booleans, Doubles], Doubles]) -> Part:
    """The mean over biopsies of what is a function of label and probability."""
    return lambda label, terms, answers: (
        loss(label[terms.left], answers.probability[:, terms.left]),
        np.ones((1, len(terms.left))),
    )


def _surprise(label: Booleans, probability: Doubles) -> Doubles:
    right = np.where(label, probability, 1 - probability)
    return np.asarray(-np.log(np.clip(right, PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR)))


def _right(label: Booleans, terms: Terms, answers: Answers) -> tuple[Doubles, Doubles]:
    right = answers.predicted[:, terms.left] == label[terms.left]
    return right.astype(np.float64), np.ones((1, len(terms.left)))


def _overlap(label: Booleans, terms: Terms, answers: Answers) -> tuple[Doubles, Doubles]:
    """F1 is twice the true positives over the positives and those called so."""
    positive, called = label[terms.left].astype(np.float64), answers.predicted[:, terms.left]
    return 2.0 * called * positive, called + positive


_METRICS: dict[str, tuple[Kind, Part]] = {
    "roc_auc": ("pairs", _ranked),
    "within_participant_auc": ("own pairs", _ranked),
    "accuracy": ("biopsies", _right),
    "f1": ("biopsies", _overlap),
    "brier": ("biopsies", _mean_of(lambda label, probability: (probability - label) ** 2)),
    "log_loss": ("biopsies", _mean_of(_surprise)),
}


@dataclass(frozen=True, eq=False)
class Tally:
    """Numerator and denominator of a metric in one fold, by group of terms: shapes (k, u) and (1 or k, u)."""

    numerator: Doubles
    denominator: Doubles


class Sums:
    """One metric on the biopsies, labels and folds of some predictions.

    Over repeats the sums are added up, as `search.metrics.pooled_metrics` adds up the folds: an average over
    repeats with the weights of their pairs.

    Args:
        metric: A name of `search.metrics.DIRECTIONS`.
        predictions: Whose labels, participants and folds.
    """

    def __init__(self, metric: str, predictions: Predictions | Outputs) -> None:
        kind, self._part = _METRICS[metric]
        self.sign = 1 if DIRECTIONS[metric] == "maximize" else -1
        self._label: Booleans = predictions.label.ravel() == 1
        _, place = np.unique(predictions.participant, return_inverse=True)
        self.participants = int(place.max()) + 1
        self._place = np.tile(place.astype(np.int64), len(predictions.label))
        self._folds = tuple(self._terms(kind, rows) for rows in rows_by_fold(predictions))
        self.folds, self.repeats = len(self._folds), len(predictions.label)

    def _terms(self, kind: Kind, rows: Ints) -> Terms:
        if kind == "biopsies":
            left = right = rows
        else:
            positive, negative = rows[self._label[rows]], rows[~self._label[rows]]
            left, right = np.repeat(positive, len(negative)), np.tile(negative, len(positive))
        if kind == "own pairs":
            same = self._place[left] == self._place[right]
            left, right = left[same], right[same]
        key = self._place[left] * self.participants + self._place[right]
        order = np.argsort(key, kind="stable")
        groups, starts = np.unique(key[order], return_index=True)
        second = groups % self.participants if kind == "pairs" else None
        return Terms(left[order], right[order], groups // self.participants, second, starts.astype(np.int64))

    def tally(self, answers: Answers) -> tuple[Tally, ...]:
        """The sums of k models, which `totals` then weighs for as many draws as are asked for."""
        return tuple(self._tally_fold(terms, answers) for terms in self._folds)

    def _tally_fold(self, terms: Terms, answers: Answers) -> Tally:
        parts = (_grouped(part, terms.starts) for part in self._part(self._label, terms, answers))
        return Tally(*parts)

    def totals(self, tallies: Sequence[Tally], multiplicity: Doubles) -> tuple[Doubles, Doubles]:
        """Numerator and denominator in each fold of each draw, shapes (folds, b, k) and (folds, b, 1 or k).

        Args:
            tallies: What `tally` returned.
            multiplicity: How often each participant was drawn, shape (b, participants).
        """
        draws, first = len(multiplicity), tallies[0]
        numerator = np.empty((self.folds, draws, len(first.numerator)))
        denominator = np.empty((self.folds, draws, len(first.denominator)))
        for fold, (terms, tally) in enumerate(zip(self._folds, tallies, strict=True)):
            weight = terms.weights(multiplicity)
            np.matmul(weight, tally.numerator.T, out=numerator[fold])
            np.matmul(weight, tally.denominator.T, out=denominator[fold])
        return numerator, denominator

    def each(self, answers: Answers, multiplicity: Doubles) -> Doubles:
        """The metric of model b in draw b, shape (b,); NaN where undefined."""
        top, bottom = np.zeros(len(multiplicity)), np.zeros(len(multiplicity))
        for terms in self._folds:
            weight = terms.weights(multiplicity)
            tally = self._tally_fold(terms, answers)
            top += (weight * tally.numerator).sum(axis=1)
            bottom += (weight * tally.denominator).sum(axis=1)
        return ratio(top, bottom)

    def value(self, outputs: Outputs) -> float | None:
        """The metric of one model on all biopsies; None where undefined."""
        value = float(self.each(Answers.of(outputs), np.ones((1, self.participants)))[0])
        return None if np.isnan(value) else value

    def classes(self, multiplicity: Doubles) -> tuple[Doubles, Doubles]:
        """The weight of the positives and of the negatives in each draw, shapes (b,)."""
        positive = np.bincount(self._place, self._label, self.participants)
        negative = np.bincount(self._place, ~self._label, self.participants)
        return multiplicity @ positive, multiplicity @ negative

    def is_defined(self, multiplicity: Doubles) -> Booleans:
        """Whether each draw has both classes, and something that the metric adds up; shape (b,)."""
        terms = sum(terms.weights(multiplicity) @ terms.sizes for terms in self._folds)
        positive, negative = self.classes(multiplicity)
        return np.asarray((terms > 0) & (positive > 0) & (negative > 0), dtype=np.bool_)

    def chunks(self, draws: int, models: int) -> Iterator[slice]:
        """Draws, so many at a time that no array of theirs is large.

        Args:
            draws: How many in all.
            models: Of how many models each is looked at.
        """
        largest = max((len(terms.left) for terms in self._folds), default=0)
        width = max(largest, self.folds * models, len(self._label), 1)
        step = max(1, CHUNK // width)
        return (slice(start, start + step) for start in range(0, draws, step))


def ratio(numerator: Doubles, denominator: Doubles) -> Doubles:
    """The quotient, NaN where the denominator is 0."""
    quotient = np.full(np.broadcast_shapes(numerator.shape, denominator.shape), np.nan)
    np.divide(numerator, denominator, out=quotient, where=denominator > 0)
    return quotient


def rows_by_fold(predictions: Predictions | Outputs) -> list[Ints]:
    """The biopsies of each fold of each repeat, indices into repeats x biopsies."""
    size = len(predictions.participant)
    return [
        (repeat * size + np.flatnonzero(fold == k)).astype(np.int64)
        for repeat, fold in enumerate(predictions.fold)
        for k in np.unique(fold)
    ]


def _grouped(part: Doubles, starts: Ints) -> Doubles:
    if not len(starts):
        return np.zeros((len(part), 0))
    return np.asarray(np.add.reduceat(part, starts, axis=1))
