"""How far repeated measurements of the same things agree: intraclass correlation.

Sites of one participant are not independent. Beside the interval of the textbook, which takes them to be,
each figure has the 95 % quantiles over draws of participants with replacement.

Scores of two models are not comparable: one that says .4 of everything in one fold and .6 in another would
seem to agree with itself. Where sites come from folds, they are compared within their folds.

References:
    Shrout PE, Fleiss JL (1979), "Intraclass correlations", Psychological Bulletin 86, 420-428.
    McGraw KO, Wong SP (1996), "Forming inferences about some intraclass correlation coefficients",
    Psychological Methods 1, 30-46, with its correction of the same year: tables 4 and 7.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import f

from search.metrics import Doubles, Ints
from search.statistics.draws import times_drawn
from search.statistics.honest import INTERVAL, LEAST_CLAIMED

FORMS = ("1", "A", "C")
"""ICC(1,1), ICC(A,1), ICC(C,1): one way; two ways with absolute agreement; two ways with consistency."""
LEAST = 3
"""Sites of which an ICC is told at all."""
DRAWS = 2000

Ends = tuple[float, float]


@dataclass(frozen=True)
class Measure:
    """A figure with two intervals.

    Attributes:
        value: The figure; None where it is undefined.
        textbook: 95 % interval where all sites are independent; None where there is none.
        drawn: 95 % quantiles over draws of participants; None of fewer than 6, which draws do not describe.
    """

    value: float | None
    textbook: Ends | None = None
    drawn: Ends | None = None

    @property
    def ci95(self) -> Ends | None:
        """The interval that is shown: that over participants, else the textbook's."""
        return self.drawn or self.textbook


@dataclass(frozen=True)
class Squares:
    """The mean squares of n sites measured k times; each a number, or an array over draws.

    Attributes:
        sites: n.
        freedom: Of sites: n - 1, or with strata n minus their number.
        measurements: k.
        between: Of sites, within strata where there are any, MSR.
        within: Of measurements within sites, MSW.
        columns: Of the measurements' means, MSC.
        error: What is left, MSE.
    """

    sites: Doubles
    freedom: Doubles
    measurements: int
    between: Doubles
    within: Doubles
    columns: Doubles
    error: Doubles

    def icc(self, form: str) -> Doubles:
        """The coefficient of a form of `FORMS`; NaN where nothing varies."""
        k = self.measurements
        if form == "1":
            return _ratio(self.between - self.within, self.between + (k - 1) * self.within)
        extra = k / self.sites * (self.columns - self.error) if form == "A" else 0.0
        return _ratio(self.between - self.error, self.between + (k - 1) * self.error + extra)


class Drawn:
    """Sums over participants, drawn with replacement: of the same participants the same draws each time.

    Args:
        participant: The number or name of the participant of each site, shape (n,).
        draws: How many.
    """

    def __init__(self, participant: npt.ArrayLike, draws: int = DRAWS) -> None:
        _, self._code = np.unique(np.asarray(participant), return_inverse=True)
        self.participants = int(self._code.max(initial=-1)) + 1
        self._times = times_drawn(max(self.participants, 1), draws if self.is_told else 0, seed=0)

    @property
    def is_told(self) -> bool:
        """Whether there are enough participants to draw from."""
        return self.participants >= LEAST_CLAIMED

    def sums(self, values: Doubles) -> Doubles:
        """Sums of columns, shape (n, c), over each draw: shape (draws, c)."""
        own = np.stack([np.bincount(self._code, column, self.participants) for column in values.T], axis=1)
        return np.asarray(self._times @ own)

    def ends(self, of_sums: Callable[[Doubles], Doubles], values: Doubles) -> Ends | None:
        """The quantiles of a figure that follows from sums of columns."""
        if not self.is_told:
            return None
        found = of_sums(self.sums(values))
        found = found[np.isfinite(found)]
        if len(found) == 0:
            return None
        low, high = np.quantile(found, INTERVAL)
        return float(low), float(high)


def over(drawn: Drawn | None, figure: Callable[[Doubles], Doubles], columns: Doubles) -> Ends | None:
    """As `Drawn.ends`; None without draws."""
    return None if drawn is None else drawn.ends(figure, columns)


def mean_squares(scores: Doubles, strata: Ints | None = None) -> Squares:
    """The mean squares of measurements.

    Args:
        scores: Shape (n, k), n and k at least 2.
        strata: Numbers of the groups within which sites are compared, shape (n,); None for one group.
    """
    return _squares(_columns(scores, strata).sum(axis=0), scores.shape[1])


def icc(
    scores: Doubles,
    form: str,
    drawn: Drawn | None = None,
    independent: bool = True,
    strata: Ints | None = None,
) -> Measure:
    """An intraclass correlation coefficient of single measurements.

    Args:
        scores: Measurements, shape (n, k), finite.
        form: Of `FORMS`. "A" counts a shift between the measurements as disagreement, "C" does not.
        drawn: Draws of the participants of the n sites.
        independent: Whether sites may be taken as independent: else there is no textbook interval.
        strata: As in `mean_squares`: what sites of two of them differ by is not counted.

    Returns:
        No value of fewer than `LEAST` sites, or where nothing varies within a stratum.
    """
    sites, k = scores.shape
    if sites < LEAST:
        return Measure(None)
    columns = _columns(scores, strata)
    found = _squares(columns.sum(axis=0), k)
    value = float(found.icc(form))
    if not np.isfinite(value):
        return Measure(None)
    textbook = _interval(found, form, value) if independent else None
    return Measure(value, textbook, over(drawn, lambda sums: _squares(sums, k).icc(form), columns))


def _columns(scores: Doubles, strata: Ints | None) -> Doubles:
    """What mean squares are made of, to be summed over sites, shape (n, k + 2 + 2 strata).

    Each measurement; row sums squared; squares; for each stratum whether a site is of it, and then its row
    sum. Taken from the grand mean, which changes none of the mean squares but their rounding.
    """
    x = scores - scores.mean()
    rows = x.sum(axis=1)
    group = np.zeros(len(x), dtype=np.int64) if strata is None else np.unique(strata, return_inverse=True)[1]
    member = np.eye(int(group.max()) + 1)[group]
    parts = (x, rows[:, None] ** 2, (x**2).sum(axis=1, keepdims=True), member, member * rows[:, None])
    return np.concatenate(parts, axis=1)


def _squares(sums: Doubles, k: int) -> Squares:
    """The mean squares from sums of `_columns`, the last axis.

    Every site is measured k times: strata are orthogonal to measurements, and a part of what sites differ by.
    """
    columns, of_rows, of_all = sums[..., :k], sums[..., k], sums[..., k + 1]
    members, totals = np.split(sums[..., k + 2 :], 2, axis=-1)
    n = members.sum(axis=-1)
    common = columns.sum(axis=-1) ** 2 / (n * k)
    of_strata = (totals**2 / np.maximum(members, 1)).sum(axis=-1) / k
    rows, across = of_rows / k - common, (columns**2).sum(axis=-1) / n - common
    total = of_all - common
    freedom = n - (members > 0).sum(axis=-1)
    parts = (of_rows / k - of_strata, total - rows, across, total - rows - across)
    # Differences of sums: what is smaller than their rounding is nothing.
    between, within, across, error = (np.where(part > 1e-12 * total, part, 0.0) for part in parts)
    return Squares(
        sites=n,
        freedom=freedom,
        measurements=k,
        between=np.where(freedom > 0, between / np.maximum(freedom, 1), np.nan),
        within=within / (n * (k - 1)),
        columns=across / (k - 1),
        error=error / ((n - 1) * (k - 1)),
    )


def _interval(found: Squares, form: str, value: float) -> Ends:
    """McGraw and Wong (1996), table 7."""
    if value == 1.0:
        return 1.0, 1.0
    n, k, of_sites = float(found.sites), found.measurements, float(found.freedom)
    if form == "A":
        return _absolute(found, n, k, value)
    of_error = float(found.within if form == "1" else found.error)
    freedom = n * (k - 1) if form == "1" else (n - 1) * (k - 1)
    if of_error == 0:
        return 1.0, 1.0
    observed = float(found.between) / of_error
    low = observed / float(f.ppf(INTERVAL[1], of_sites, freedom))
    high = observed * float(f.ppf(INTERVAL[1], freedom, of_sites))
    return (low - 1) / (low + k - 1), (high - 1) / (high + k - 1)


def _absolute(found: Squares, n: float, k: int, value: float) -> Ends:
    """The interval of ICC(A,1), by Satterthwaite's degrees of freedom v."""
    between, columns, error = float(found.between), float(found.columns), float(found.error)
    a = k * value / (n * (1 - value))
    b = 1 + a * (n - 1)
    parts = (a * columns) ** 2 / (k - 1), (b * error) ** 2 / ((n - 1) * (k - 1))
    if sum(parts) == 0:
        return 1.0, 1.0
    v = (a * columns + b * error) ** 2 / sum(parts)
    of_sites = float(found.freedom)
    rest = k * columns + (k * n - k - n) * error
    upper, lower = (float(f.ppf(INTERVAL[1], *freedom)) for freedom in ((of_sites, v), (v, of_sites)))
    low = n * (between - upper * error) / (upper * rest + n * between)
    high = n * (lower * between - error) / (rest + n * lower * between)
    return low, high


def _ratio(top: Doubles, bottom: Doubles) -> Doubles:
    top, bottom = np.broadcast_arrays(np.asarray(top, dtype=np.float64), np.asarray(bottom, dtype=np.float64))
    found = np.full(top.shape, np.nan)
    return np.asarray(np.divide(top, bottom, out=found, where=bottom > 0))
