"""Whether two models differ, from their scores on the same folds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import t as student

from search.metrics import Doubles

LEVEL = 0.05


@dataclass(frozen=True)
class Comparison:
    """The difference of two models' scores, and how sure it is.

    Attributes:
        difference: Mean over the folds.
        low: Lower end of its 95 % interval.
        high: Upper end.
        p: Of no difference; two-sided, and corrected where it is one of several.
        error: Standard error of the difference.
        folds: How many folds it rests on.
        tests: How many comparisons p is corrected for.
    """

    difference: float
    low: float
    high: float
    p: float
    error: float
    folds: int
    tests: int = 1

    @property
    def margin(self) -> float:
        """The smallest difference that these folds could have told apart, at 5 %.

        Of a single comparison it is half its interval; of several, what is told apart whatever the others
        find.
        """
        return float(student.ppf(1 - LEVEL / self.tests / 2, self.folds - 1)) * self.error

    @property
    def indistinguishable(self) -> bool:
        """Whether the two models cannot be told apart: of a single comparison, below the margin."""
        return self.p >= LEVEL


def corrected_t(differences: Sequence[float] | Doubles, test_share_over_train: float) -> Comparison:
    """The corrected resampled t-test.

    `t = mean(d) / sqrt((1/R + n_test/n_train) s_d^2)` with R - 1 degrees of freedom. The models of two folds
    share most of their training data, so that R folds are worth less than R experiments: repeating a 5-fold
    table ten times is worth 3.7, and no number of repeats more than 4.

    Args:
        differences: The difference of the two scores in each of R folds of all repeats, at least two.
        test_share_over_train: n_test / n_train of a fold: 1/4 for 5 folds; 0 gives Student's paired test.

    Returns:
        The comparison. Differences that are all the same have no spread: then p is 0, or 1 where all are 0.

    Raises:
        ValueError: Fewer than two folds.

    References:
        Nadeau and Bengio 2003, "Inference for the generalization error", Machine Learning 52, 239-281.
    """
    d = np.asarray(differences, dtype=np.float64)
    if len(d) < 2:
        raise ValueError(f"at least two folds are needed, but got {len(d)}")
    folds, mean = len(d), float(d.mean())
    # The mean of equal numbers may differ from them in the last bit, which is no spread.
    spread = 0.0 if np.ptp(d) == 0 else float(d.std(ddof=1))
    error = spread * float(np.sqrt(1 / folds + test_share_over_train))
    reach = float(student.ppf(1 - LEVEL / 2, folds - 1)) * error
    return Comparison(mean, mean - reach, mean + reach, _two_sided(mean, error, folds - 1), error, folds)


def _two_sided(mean: float, error: float, df: int) -> float:
    """The p-value of a mean with that standard error."""
    if error == 0:
        return float(mean == 0)
    return 2 * float(student.sf(abs(mean) / error, df))


def corrected(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The same comparisons with the p-values of several; their intervals stay those of one."""
    adjusted = holm([comparison.p for comparison in comparisons])
    return [replace(one, p=p, tests=len(comparisons)) for one, p in zip(comparisons, adjusted, strict=True)]


def holm(p: Sequence[float]) -> list[float]:
    """P-values such that "below 5 %" is wrong of any of them in at most 5 % of cases; in the order given.

    References:
        Holm 1979, "A simple sequentially rejective multiple test procedure".

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    adjusted, largest = [0.0] * len(p), 0.0
    for rank, index in enumerate(np.argsort(p, kind="stable")):
        largest = max(largest, min(1.0, (len(p) - rank) * p[index]))
        adjusted[index] = largest
    return adjusted
