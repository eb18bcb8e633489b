"""The permutation test of a whole search: its fits and its selection repeated under shuffled expression."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from data_prep.arrays import IntArray
from data_prep.folds import FoldTable
from data_prep.problems import InputError
from search.errors import StudyStoppedError
from search.records import FoldResult
from search.refits.fit import Fit
from search.refits.orders import NULLS, draw_order
from search.refits.pipeline import Chooser
from search.statistics.predictions import Outputs
from search.statistics.sums import Sums

STATISTICS = {"global": "roc_auc", "within": "within_participant_auc"}
DRAWN_AGAIN = 1000  # orders without folds in a row after which there is none to be found

Table = Callable[[IntArray | None], FoldTable]


@dataclass(frozen=True)
class Drawn:
    """One permutation: the row whose expression each row is given, and the folds made of it."""

    order: IntArray
    table: FoldTable
    drawn_again: int


@dataclass(frozen=True)
class Findings:
    """What a test found, before it is put on record; as `search.refits.permutation.Permutation` says."""

    observed: float
    values: tuple[float | None, ...]
    selected: tuple[int, ...]
    fits: int
    failed: int
    drawn_again: int
    fit_seconds: float

    @property
    def p_value(self) -> float:
        """Of the test."""
        return p_value(self.observed, self.values)


def p_value(observed: float, values: Sequence[float | None]) -> float:
    """The share of permutations at least as good, the observed order among them.

    >>> p_value(0.7, [0.5, 0.7, None])
    0.75
    """
    return (1 + sum(value is None or value >= observed for value in values)) / (1 + len(values))


def draw(null: str, participant: IntArray, table: Table, seed: int, number: int) -> Drawn:
    """The permutation of one number, the same however many there are.

    An order of whose labels no folds with both classes can be made is drawn again. The test stays valid:
    whether folds can be made depends on the labels alone, they can of the study's own, and among the orders
    of which they can all stay equally likely where images tell nothing.

    Args:
        null: A name of `NULLS`.
        participant: A number per participant, shape (n,).
        table: Makes the fold table of an order, or raises InputError.
        seed: Of the test.
        number: From 0 on.

    Raises:
        StudyStoppedError: None was found.
    """
    random = np.random.default_rng(np.random.SeedSequence([seed, NULLS.index(null), number]))
    for again in range(DRAWN_AGAIN):
        order = draw_order(null, participant, random)
        try:
            return Drawn(order, table(order), again)
        except InputError as error:
            refused = error
    raise StudyStoppedError(f"permutation {number}: no order of the labels has folds: {refused}")


@dataclass(frozen=True, eq=False)
class Plan:
    """A permutation test: whether a search does better than it would if images told nothing.

    The search is repeated whole for every permutation: the fold table, which is stratified by the labels, is
    made anew, every configuration is fitted, and the rule selects among them. Seeds of fits are the same in
    all, so that the statistic is a function of the labels alone.

    Attributes:
        chooser: The search.
        null: A name of `NULLS`.
        own: Its fits with the biopsies' own expression.
        drawn: The permutations.
        permuted: The fits of each.
    """

    chooser: Chooser
    null: str
    own: tuple[Fit, ...]
    drawn: tuple[Drawn, ...]
    permuted: tuple[tuple[Fit, ...], ...]

    @classmethod
    def of(
        cls, chooser: Chooser, null: str, participant: IntArray, table: Table, permutations: int, seed: int
    ) -> Plan:
        """Draw the permutations.

        Args:
            chooser: The search.
            null: A name of `NULLS`.
            participant: A number per participant, shape (n,).
            table: Makes the fold table of an order; of None, with the biopsies' own labels.
            permutations: How many.
            seed: Permutation b is drawn from it and b, so that more of them continue a test.

        Raises:
            InputError: The biopsies' own labels have no folds.
            StudyStoppedError: Hardly any order has.
        """
        own = chooser.fits(table(None).splits())
        drawn = tuple(draw(null, participant, table, seed, number) for number in range(permutations))
        permuted = tuple(chooser.fits(one.table.splits(), one.order) for one in drawn)
        return cls(chooser, null, own, drawn, permuted)

    @property
    def fits(self) -> tuple[Fit, ...]:
        """All of them."""
        return (*self.own, *chain.from_iterable(self.permuted))

    def observed(self, result: Callable[[Fit], FoldResult | None]) -> tuple[float, tuple[int, ...]]:
        """The statistic with the biopsies' own expression, and the configurations selected.

        Args:
            result: Of each fit in `own`; None for one that failed.

        Raises:
            InputError: No participant has biopsies of both labels, which the null is about.
            StudyStoppedError: No configuration could be fitted.
        """
        selection = self.chooser.choose(list(map(result, self.own)))
        if selection is None:
            raise StudyStoppedError("no configuration could be fitted on all folds")
        value = statistic(self.null, selection.outputs)
        if value is None:
            raise InputError(
                f"--null {self.null}: {STATISTICS[self.null]} needs biopsies of different labels, within one "
                "participant for 'within', but no fold has them"
            )
        return value, selection.members

    def findings(self, result: Callable[[Fit], FoldResult | None]) -> Findings:
        """The test's outcome.

        Args:
            result: Of each of `fits`; None for one that failed.
        """
        observed, members = self.observed(result)
        chosen = [self.chooser.choose(list(map(result, fits))) for fits in self.permuted]
        values = [None if one is None else statistic(self.null, one.outputs) for one in chosen]
        done = [found for fit in self.fits if (found := result(fit)) is not None]
        return Findings(
            observed,
            tuple(values),
            members,
            len(self.fits),
            len(self.fits) - len(done),
            sum(one.drawn_again for one in self.drawn),
            sum(found.seconds for found in done),
        )


def statistic(null: str, outputs: Outputs) -> float | None:
    """The statistic of a null; None where no pair of biopsies tells of it."""
    return Sums(STATISTICS[null], outputs).value(outputs)
