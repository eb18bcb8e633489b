"""Probabilities from the margins of a classifier that has none of its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from models.curves import log_loss, probability
from models.samples import DoubleArray, IntArray

# Per standard deviation of the margins, which moves a probability by a quarter of a percent at most.
LEAST_SLOPE = 0.01

# A deviation that is less of the largest margin is what adding up equal ones leaves.
ROUNDING = 1e-12


@dataclass(frozen=True)
class Calibration:
    """The map from a margin m to a probability: the sigmoid of `slope * m + intercept`."""

    slope: float
    intercept: float

    def __call__(self, margin: DoubleArray) -> DoubleArray:
        """Probabilities (n,) of margins (n,)."""
        return probability(self.slope * margin + self.intercept)


def platt(margin: DoubleArray, label: IntArray) -> Calibration:
    """Fit the sigmoid to held-out margins (n,) and their labels 0 and 1 (n,) by maximum likelihood.

    The targets are Platt's: not 1 and 0 but (N1 + 1) / (N1 + 2) and 1 / (N0 + 2), with N1 and N0 labels of
    each kind, so that margins that separate the labels do not lead to certainty. The slope is at least
    `LEAST_SLOPE`: where held-out margins rank no better than chance, the probabilities lie close to the
    prevalence, but they are never ranked the other way round. Margins that are all the same count as if they
    had a standard deviation of 1.

    References:
        Platt 1999, "Probabilistic outputs for support vector machines and comparisons to regularized
        likelihood methods"; the bound on the slope is our addition.
    """
    spread = float(margin.std())
    if spread <= ROUNDING * float(np.abs(margin).max(initial=0.0)):
        spread = 1.0
    unit, ones = margin / spread, int(label.sum())
    target = np.where(label == 1, (ones + 1) / (ones + 2), 1 / (len(label) - ones + 2))

    def loss(line: DoubleArray) -> tuple[float, DoubleArray]:
        logit = line[0] * unit + line[1]
        excess = probability(logit) - target
        return log_loss(logit, target), np.array([np.mean(excess * unit), np.mean(excess)])

    bounds = [(LEAST_SLOPE, None), (None, None)]
    slope, intercept = minimize(loss, [LEAST_SLOPE, 0.0], jac=True, method="L-BFGS-B", bounds=bounds).x
    return Calibration(float(slope) / spread, float(intercept))
