"""How many participants it would take to know more, from how far the estimate strays now.

Participants are the independent units, so a standard error shrinks with the square root of their number.

References:
    Chow S-C, Shao J, Wang H, Lokhnygina Y (2017), Sample Size Calculations in Clinical Research, chapter 3.
"""

from __future__ import annotations

import math
from statistics import NormalDist

LEVEL = 0.05  # one-sided, as of the claim
POWER = 0.8
HALF_WIDTH = 0.05  # of a 95 % interval: what tells a useful AUC from a middling one
WORTHWHILE = 0.65  # the lower end of what is credible on such cohorts

WIDTH_FORMULA = "n' = n (h / h')²"
POWER_FORMULA = "n' = n (z₀.₉₅ + z₀.₈)² s² / (A - 0.5)²"
ASSUMED = (
    "Assumed are further participants like these, with as many biopsies each, and a standard error that "
    "shrinks with the square root of their number; better images or a better model are not."
)


def standard_error(low: float, high: float) -> float:
    """The standard error that a 95 % interval stands for.

    >>> round(standard_error(0.402, 0.598), 3)
    0.05
    """
    return (high - low) / (2 * NormalDist().inv_cdf(0.975))


def for_half_width(participants: int, low: float, high: float, target: float = HALF_WIDTH) -> int:
    """Participants for a 95 % interval of +- `target`: n' = n (h / h')².

    >>> for_half_width(45, 0.5, 0.7)
    180
    """
    return math.ceil(round(participants * ((high - low) / 2 / target) ** 2, 9))


def for_power(participants: int, low: float, high: float, auc: float = WORTHWHILE) -> int:
    """Participants with whom a true `auc` would be told from 0.5 in `POWER` of studies like this one.

    A one-sided test at `LEVEL`, with the standard error s of the interval at hand.

    Raises:
        ValueError: `auc` is not above 0.5.
    """
    if auc <= 0.5:
        raise ValueError(f"an AUC above 0.5 is needed, but got {auc}")
    normal = NormalDist()
    z = normal.inv_cdf(1 - LEVEL) + normal.inv_cdf(POWER)
    return math.ceil(round(participants * (z * standard_error(low, high) / (auc - 0.5)) ** 2, 9))
