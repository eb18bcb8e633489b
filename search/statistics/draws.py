"""Draws of participants with replacement, where asked with both classes among the drawn and the undrawn."""

from __future__ import annotations

import numpy as np

from search.metrics import Doubles
from search.statistics.predictions import Booleans
from search.statistics.sums import Sums

LEAST_SHARE = 0.05  # of draws that must be of use: below it, those that are describe another cohort


def times_drawn(participants: int, draws: int, seed: int | np.random.Generator) -> Doubles:
    """How often each of so many participants is drawn, of as many with replacement.

    Returns:
        Whole numbers, shape (draws, participants); each row adds up to `participants`.
    """
    equal = np.full(participants, 1 / participants)
    return np.random.default_rng(seed).multinomial(participants, equal, size=draws).astype(np.float64)


class NoDrawsError(ValueError):
    """The cohort cannot be drawn from; the message says why in words."""


def draw_participants(sums: Sums, draws: int, seed: int, also: Sums | None = None) -> Doubles:
    """How often each participant was drawn, in draws that a selection and its test can be made of.

    A draw is repeated where the metric is undefined, or one class is missing, among those drawn or among
    those not drawn.

    Args:
        sums: The metric on the cohort.
        draws: How many are wanted.
        seed: The same seed gives the same draws.
        also: A second metric on the same cohort that must be defined too.

    Returns:
        Whole numbers, shape (draws, participants).

    Raises:
        NoDrawsError: There is one participant, or too few draws are of use.
    """
    if sums.participants < 2:
        raise NoDrawsError("at least 2 participants must have been held out, but there is 1")
    rng = np.random.default_rng(seed)
    usable: list[Doubles] = []
    for _ in range(round(1 / LEAST_SHARE)):
        drawn = times_drawn(sums.participants, draws, rng)
        usable.append(drawn[_is_usable(sums, drawn) & _is_usable(also or sums, drawn)])
        if sum(map(len, usable)) >= draws:
            return np.concatenate(usable)[:draws]
    raise NoDrawsError(
        f"one draw of participants in {round(1 / LEAST_SHARE)} must leave both classes, and something that "
        f"the metric compares, among the drawn and among the others, but of {sums.participants} participants "
        "fewer do"
    )


def _is_usable(sums: Sums, drawn: Doubles) -> Booleans:
    usable = np.zeros(len(drawn), dtype=np.bool_)
    for chunk in sums.chunks(len(drawn), 1):
        inside, outside = drawn[chunk], (drawn[chunk] == 0).astype(float)
        usable[chunk] = sums.is_defined(inside) & sums.is_defined(outside)
    return usable
