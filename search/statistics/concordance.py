"""Pairs that are ranked rightly, gathered by participant, so that participants can be drawn again quickly.

Only pairs of one fold and repeat count: the scores of two folds come from two models and are not comparable.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from search.metrics import Doubles, Ints
from search.statistics.predictions import Outputs


@dataclass(frozen=True, eq=False)
class Concordance:
    """Pairs by the participant of the one that should score higher (rows) and of the other (columns).

    Attributes:
        ranked: How many are ranked rightly, ties half, shape (participants, participants).
        pairs: How many there are, same shape.
    """

    ranked: Doubles
    pairs: Doubles

    def auc(self, weight: Doubles) -> Doubles:
        """The share ranked rightly where each participant is there `weight` times.

        Args:
            weight: Shape (draws, participants).

        Returns:
            Shape (draws,); NaN without a pair.
        """
        right = np.einsum("bp,pq,bq->b", weight, self.ranked, weight, optimize=True)
        return share(right, np.einsum("bp,pq,bq->b", weight, self.pairs, weight, optimize=True))

    def auc_within(self, weight: Doubles) -> Doubles:
        """The same over the pairs within a participant; two copies of one make no pair."""
        return share(weight @ np.diagonal(self.ranked), weight @ np.diagonal(self.pairs))


def of_biopsies(outputs: Outputs) -> Concordance:
    """Pairs of a positive and a negative biopsy."""
    who = membership(outputs.participant)
    shape = (who.shape[1], who.shape[1])
    ranked, pairs = np.zeros(shape), np.zeros(shape)
    for label, fold, score in zip(outputs.label, outputs.fold, outputs.score, strict=True):
        above = (label[:, None] > label) & (fold[:, None] == fold)
        ranked += who.T @ (above * _order(score)) @ who
        pairs += who.T @ above @ who
    return Concordance(ranked, pairs)


def of_participants(outputs: Outputs) -> Concordance:
    """Pairs of participants with different shares of positive biopsies, by the mean of their scores."""
    who = membership(outputs.participant)
    size, first = who.sum(axis=0), who.argmax(axis=0)
    shape = (who.shape[1], who.shape[1])
    ranked, pairs = np.zeros(shape), np.zeros(shape)
    for label, fold, score in zip(outputs.label, outputs.fold, outputs.score, strict=True):
        positive, of_fold = label @ who, fold[first]
        # Shares compared as products of whole numbers, so that equal ones are equal.
        above = positive[:, None] * size > positive * size[:, None]
        above &= of_fold[:, None] == of_fold
        # Means of equal scores may differ in their last bits.
        ranked += above * _order(np.round(score @ who / size, 12))
        pairs += above
    return Concordance(ranked, pairs)


def informative_pairs(outputs: Outputs) -> int:
    """How many pairs of biopsies of one participant have different labels, in one repeat at least."""
    different = (outputs.label[:, :, None] != outputs.label[:, None, :]).any(axis=0)
    same = outputs.participant[:, None] == outputs.participant
    return int(np.triu(different & same).sum())


def membership(participant: Ints) -> Doubles:
    """Which biopsy is whose, shape (biopsies, participants): participants in the order of their numbers."""
    return np.asarray(participant[:, None] == np.unique(participant), dtype=np.float64)


def share(part: Doubles, whole: Doubles) -> Doubles:
    """`part / whole`, NaN where the whole is 0."""
    result: Doubles = np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
    return result


def _order(score: Doubles) -> Doubles:
    """1 where the row's score is above the column's, a half where they are equal."""
    return np.asarray((score[:, None] > score) + 0.5 * (score[:, None] == score), dtype=np.float64)
