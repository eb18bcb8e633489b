"""By how much two measurements of the same things differ: Bland and Altman's limits, labels that flip.

References:
    Bland JM, Altman DG (1999), "Measuring agreement in method comparison studies", Statistical Methods in
    Medical Research 8, 135-160.
    Wilson EB (1927), "Probable inference", JASA 22, 209-212; Cohen J (1960), Educational and Psychological
    Measurement 20, 37-46.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest, chi2, norm
from scipy.stats import t as student

from search.metrics import Doubles, Ints
from search.statistics.agreement import LEAST, Drawn, Measure, over
from search.statistics.honest import INTERVAL
from search.statistics.predictions import Booleans

Z = float(norm.ppf(INTERVAL[1]))


@dataclass(frozen=True)
class BlandAltman:
    """Second measurements minus first ones.

    Attributes:
        bias: Their mean.
        lower: Lower limit of agreement: the bias minus 1.96 standard deviations.
        upper: Upper limit of agreement.
        repeatability: Below which two measurements of one thing lie apart 95 % of the time, where there is no
            bias: `1.96 sqrt 2 sd_w`, `sd_w^2 = mean d^2 / 2`, 2.77 times the deviation within sites. A bias
            counts in it.
    """

    bias: Measure
    lower: Measure
    upper: Measure
    repeatability: Measure


def bland_altman(first: Doubles, second: Doubles, drawn: Drawn | None = None) -> BlandAltman | None:
    """Bias and limits of agreement; None of fewer than `LEAST` sites.

    Args:
        first: Measurements, shape (n,).
        second: Of the same sites, shape (n,).
        drawn: Draws of their participants.
    """
    n = len(first)
    if n < LEAST:
        return None
    d = second - first
    sums = np.stack([np.ones(n), d, d**2], axis=1)
    sd = float(d.std(ddof=1))
    wide = float(student.ppf(INTERVAL[1], n - 1)) * sd
    of_limit = wide * (1 / n + Z**2 / (2 * (n - 1))) ** 0.5

    def told(figure: Callable[[Doubles], Doubles], half: float) -> Measure:
        value = float(figure(sums.sum(axis=0)))
        return Measure(value, (value - half, value + half), over(drawn, figure, sums))

    apart = told(_repeatability, 0.0)
    value = apart.value or 0.0
    scale = [(n / float(chi2.ppf(q, n))) ** 0.5 for q in INTERVAL[::-1]]
    apart = Measure(apart.value, (value * scale[0], value * scale[1]), apart.drawn)
    return BlandAltman(
        bias=told(lambda s: s[..., 1] / s[..., 0], wide / n**0.5),
        lower=told(lambda s: _limit(s, -Z), of_limit),
        upper=told(lambda s: _limit(s, Z), of_limit),
        repeatability=apart,
    )


def _limit(sums: Doubles, z: float) -> Doubles:
    n, d, squares = (sums[..., place] for place in range(3))
    variance = np.maximum(squares - d**2 / n, 0.0) / (n - 1)
    return np.asarray(d / n + z * np.sqrt(variance))


def _repeatability(sums: Doubles) -> Doubles:
    return np.asarray(Z * np.sqrt(sums[..., 2] / sums[..., 0]))


@dataclass(frozen=True)
class Flips:
    """Predicted labels that are another by the second scan.

    Attributes:
        sites: How many were predicted twice.
        flips: How many of them differ.
        share: The flip rate; its textbook interval is Wilson's.
        by_chance: The flip rate of predictions that repeat nothing but how often each scan says 1, stratum by
            stratum: `p (1 - q) + q (1 - p)`.
        kappa: `1 - share / by_chance`, Cohen's: 1 where no label flips, 0 where they flip as by chance; None
            where both scans give all sites one label.
        unstable: Sites whose first probability lies nearer to the threshold than the repeatability
            coefficient: where a flip is to be expected.
        flips_elsewhere: Flips of the other sites, of which about one in twenty may cross so far.
    """

    sites: int
    flips: int
    share: Measure
    by_chance: float
    kappa: float | None
    unstable: int | None
    flips_elsewhere: int | None


def flips(
    first: Doubles,
    second: Doubles,
    drawn: Drawn | None = None,
    reach: float | None = None,
    independent: bool = True,
    strata: Ints | None = None,
) -> Flips | None:
    """Count the labels that flip; None without sites.

    Args:
        first: Probability minus threshold by the first scan, shape (n,): above 0 the label is 1.
        second: The same by the second scan.
        drawn: Draws of the participants of the n sites.
        reach: The repeatability coefficient of the probability.
        independent: Whether there is a textbook interval, as in `icc`.
        strata: As in `icc`.
    """
    n = len(first)
    if n == 0:
        return None
    one, other = first > 0, second > 0
    flipped = one != other
    columns = np.stack([np.ones(n), flipped.astype(float)], axis=1)
    ends = over(drawn, lambda s: np.asarray(s[..., 1] / s[..., 0]), columns)
    share, chance = float(flipped.mean()), _by_chance(one, other, np.zeros(n) if strata is None else strata)
    wilson = binomtest(int(flipped.sum()), n).proportion_ci(method="wilson")
    near: Booleans | None = None if reach is None else np.abs(first) < reach
    return Flips(
        sites=n,
        flips=int(flipped.sum()),
        share=Measure(share, (wilson.low, wilson.high) if independent else None, ends),
        by_chance=chance,
        kappa=1 - share / chance if chance > 0 else None,
        unstable=None if near is None else int(near.sum()),
        flips_elsewhere=None if near is None else int((flipped & ~near).sum()),
    )


def _by_chance(one: Booleans, other: Booleans, strata: Doubles | Ints) -> float:
    total = 0.0
    for stratum in np.unique(strata):
        rows = strata == stratum
        p, q = float(one[rows].mean()), float(other[rows].mean())
        total += float(rows.mean()) * (p * (1 - q) + q * (1 - p))
    return total
