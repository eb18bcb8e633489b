"""Which configurations a study selects, and what they say together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from search.metrics import Doubles, Ints
from search.sections import SELECTIONS
from search.statistics.predictions import Outputs, Predictions
from search.statistics.sums import Answers, Sums, ratio, rows_by_fold

RULES = SELECTIONS  # as a study file names them
TOP_SHARE, LEAST_TOP = 0.15, 3  # 10-20 % of the configurations (SCIENCE S1)
ROUNDING = 1e-12  # by which a sum that is 0 may be off: it is not above 0, in whatever order it was added


@dataclass(frozen=True)
class Rule:
    """How a study selects.

    `rank-average` takes the best configurations and averages their ranks; `one-se` the one of fewest
    trainable parameters within one standard error of the best; `argmax` the best, which is the most lucky.

    Attributes:
        name: A name of `RULES`.
        top: How many configurations `rank-average` takes; None for 15 % of them, at least 3.

    Raises:
        ValueError: An unknown name, or a number below 1.
    """

    name: str = "rank-average"
    top: int | None = None

    def __post_init__(self) -> None:
        if self.name not in RULES:
            raise ValueError(f"a rule must be one of {', '.join(RULES)}, but got {self.name!r}")
        if self.top is not None and self.top < 1:
            raise ValueError(f"top must be at least 1, but got {self.top}")

    def members(self, configurations: int) -> int:
        """How many of so many configurations it takes.

        >>> Rule().members(100), Rule("rank-average", top=5).members(3), Rule("one-se").members(100)
        (15, 3, 1)
        """
        if self.name != "rank-average":
            return min(1, configurations)
        return min(configurations, self.top or max(LEAST_TOP, round(TOP_SHARE * configurations)))


def select(rule: Rule, predictions: Predictions, metric: str) -> tuple[int, ...]:
    """The configurations that the rule selects by all biopsies, best first.

    Args:
        rule: How.
        predictions: Of every configuration.
        metric: A name of `search.metrics.DIRECTIONS`.
    """
    selector = Selector(rule, predictions, Sums(metric, predictions))
    members = selector.choose(np.ones((1, selector.sums.participants)))
    return tuple(int(member) for member in members[0])


class Selector:
    """A rule made ready to select by any draw of the participants.

    Configurations whose held-out predictions are the same count once: a small space of shallow models hands
    the same one out many times, and an ensemble would be that one alone. Ties go to fewer parameters, then to
    the earlier trial.
    """

    def __init__(self, rule: Rule, predictions: Predictions, sums: Sums) -> None:
        self.sums = sums
        self._rule = rule
        self.candidates = distinct(predictions)
        self._parameters = predictions.parameters[self.candidates]
        self._tally = sums.tally(_answers(predictions.take(self.candidates.tolist())))
        self.size = rule.members(len(self.candidates))

    def choose(self, multiplicity: Doubles) -> Ints:
        """The configurations selected by each draw, best first, shape (b, `size`).

        Args:
            multiplicity: How often each participant was drawn, shape (b, participants).
        """
        numerator, denominator = self.sums.totals(self._tally, multiplicity)
        value = self.sums.sign * ratio(numerator.sum(axis=0), denominator.sum(axis=0))
        value = np.where(np.isnan(value), -np.inf, value)
        if self._rule.name == "one-se":
            places = self._simplest(value, ratio(numerator, denominator))
        else:
            places = np.argsort(-value, axis=1, kind="stable")[:, : self.size]
        return np.asarray(self.candidates[places])

    def _simplest(self, value: Doubles, fold_value: Doubles) -> Ints:
        """Fewest parameters within one standard error of the best; among those of as many, the best.

        Breiman et al., Classification and Regression Trees (1984), section 3.4.3. The standard error is that
        of the best configuration's mean over the folds of one repeat: repeats of the folds share their
        biopsies, and do not narrow it.
        """
        best = value.argmax(axis=1)
        folds = np.take_along_axis(fold_value, best[None, :, None], axis=2)[:, :, 0]
        within = value >= (value.max(axis=1) - standard_error(folds, self.sums.repeats))[:, None]
        fewest = np.where(within, self._parameters, np.inf).min(axis=1)
        simplest = within & (self._parameters == fewest[:, None])
        return np.asarray(np.where(simplest, value, -np.inf).argmax(axis=1)[:, None], dtype=np.int64)


def standard_error(folds: Doubles, repeats: int) -> Doubles:
    """Standard error of the mean over the folds of one repeat, shape (b,).

    Args:
        folds: The values of the folds of all repeats, NaN where undefined; shape (folds, b).
        repeats: How many repeats they come from.

    Returns:
        0 where fewer than two folds have a value, so that nothing is within it of the best but the best.
    """
    known = ~np.isnan(folds)
    count = known.sum(axis=0)
    mean = ratio(np.where(known, folds, 0.0).sum(axis=0), count)
    squares = np.where(known, (folds - mean) ** 2, 0.0).sum(axis=0)
    variance = ratio(squares, count - 1.0) / np.maximum(count / repeats, 1.0)
    return np.sqrt(np.where(count > 1, variance, 0.0))


def combined(predictions: Predictions, members: Sequence[int]) -> Outputs:
    """What the selected configurations say together.

    One is itself. Several are scored by the mean of their ranks within the fold and repeat, divided by the
    fold's biopsies + 1; their probability is the mean, and they say 1 where it is above the mean threshold.

    Args:
        predictions: Of every configuration.
        members: Which ones.
    """
    if len(members) == 1:
        return predictions.outputs(members[0])
    answers = Ensembles(predictions.take(members)).answers(np.arange(len(members))[None])
    shape = predictions.label.shape
    return Outputs(
        predictions.label,
        predictions.participant,
        predictions.fold,
        answers.score.reshape(shape),
        answers.probability.reshape(shape),
        answers.predicted.reshape(shape).astype(np.int64),
    )


class Ensembles:
    """What any selection of configurations says together, many selections at a time."""

    def __init__(self, predictions: Predictions) -> None:
        self._rank = fold_ranks(predictions)
        self._size = _fold_sizes(predictions)
        self._probability = _flat(predictions.probability)
        self._margin = _flat(predictions.probability - predictions.threshold)

    def answers(self, members: Ints) -> Answers:
        """The answers of each selection.

        Args:
            members: Configurations, shape (b, k).
        """
        if members.shape[1] == 1:
            one = members[:, 0]
            return Answers(self._probability[one], self._probability[one], self._margin[one] > 0)
        chosen = np.zeros((len(members), len(self._rank)))
        np.put_along_axis(chosen, members, 1.0, axis=1)
        k = members.shape[1]
        # Ranks are halves, so that their sum is exact and equal sums tie, in whatever order they are added.
        score = chosen @ self._rank / (k * (self._size + 1.0))
        return Answers(score, chosen @ self._probability / k, chosen @ self._margin / k > ROUNDING)


def fold_ranks(predictions: Predictions) -> Doubles:
    """Each biopsy's rank in its fold and repeat, ties averaged, shape (c, repeats x biopsies)."""
    probability = _flat(predictions.probability)
    rank = np.empty_like(probability)
    for rows in rows_by_fold(predictions):
        rank[:, rows] = rankdata(probability[:, rows], axis=1)
    return rank


def _fold_sizes(predictions: Predictions) -> Ints:
    """How many biopsies share a biopsy's fold, shape (repeats x biopsies,)."""
    size = np.zeros(predictions.label.size, dtype=np.int64)
    for rows in rows_by_fold(predictions):
        size[rows] = len(rows)
    return size


def _answers(predictions: Predictions) -> Answers:
    probability = _flat(predictions.probability)
    return Answers(probability, probability, _flat(predictions.probability) > _flat(predictions.threshold))


def _flat(values: Doubles) -> Doubles:
    return values.reshape(len(values), -1)


def distinct(predictions: Predictions) -> Ints:
    """One configuration of each set that predict the same, by parameters, then by trial."""
    order = np.lexsort((np.array(predictions.trials), predictions.parameters))
    seen: dict[bytes, int] = {}
    for index in order.tolist():
        said = predictions.probability[index].tobytes() + predictions.threshold[index].tobytes()
        seen.setdefault(said, index)
    return np.array(list(seen.values()), dtype=np.int64)
