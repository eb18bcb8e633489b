"""The closed forms of confounding: scanners that see participants with more or less expression.

On one half of the scanners expression is `g + h`, on the other `g - h`; a reader knows the half. With the
score m standard normal and of correlation rho with g, a biopsy is positive with probability
`Phi((rho m +- h) / sqrt(1 - rho^2))`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from scipy.integrate import cumulative_trapezoid, trapezoid
from scipy.special import ndtr
from scipy.stats import norm

from data_prep.arrays import DoubleArray

_POINTS = 6001
_END = 9.0  # standard deviations


def shifted_auc(rhos: Sequence[float], shifts: Sequence[float]) -> float:
    """AUC of the optimal posterior over biopsies that differ in rho and h; `pooled_auc` where h is 0.

    Args:
        rhos: One correlation per biopsy, each above 0 and below 1.
        shifts: h of each, with its sign.
    """
    t, density = _posteriors(rhos, shifts)
    positive, negative = density * ndtr(t), density * ndtr(-t)
    below = cumulative_trapezoid(negative, t, initial=0)
    return float(trapezoid(positive * below, t) / (trapezoid(positive, t) * trapezoid(negative, t)))


def shifted_accuracy(rhos: Sequence[float], shifts: Sequence[float]) -> float:
    """Accuracy of that posterior, cut at one half."""
    t, density = _posteriors(rhos, shifts)
    return float(trapezoid(density * ndtr(np.abs(t)), t) / trapezoid(density, t))


def _posteriors(rhos: Sequence[float], shifts: Sequence[float]) -> tuple[DoubleArray, DoubleArray]:
    """Probits t of the posterior, and their density over biopsies."""
    kinds, counts = np.unique(np.stack([rhos, shifts], axis=1), axis=0, return_counts=True)
    rest = np.sqrt(1 - kinds[:, 0] ** 2)
    middle, spread = kinds[:, 1] / rest, kinds[:, 0] / rest
    t = np.linspace((middle - _END * spread).min(), (middle + _END * spread).max(), _POINTS)
    density = norm.pdf(t[:, None], middle, spread) @ (counts / counts.sum())
    return t, density


def within_scanner_auc(rhos: Sequence[float], shifts: Sequence[float]) -> float:
    """AUC over pairs of biopsies from the same half: what no knowledge of the scanner adds to."""
    rho, h = np.asarray(rhos, float), np.asarray(shifts, float)
    halves = [(side, h == side) for side in np.unique(h)]
    aucs = [shifted_auc(rho[own].tolist(), h[own].tolist()) for _, own in halves]
    pairs = [own.sum() ** 2 * ndtr(side) * ndtr(-side) for side, own in halves]
    return float(np.average(aucs, weights=pairs))


def scanner_auc(shifts: Sequence[float]) -> float:
    """AUC of knowing nothing but the half: ties count a half."""
    h, counts = np.unique(np.asarray(shifts, float), return_counts=True)
    positive, negative = counts * ndtr(h), counts * ndtr(-h)
    below = np.cumsum(negative) - negative / 2
    return float(positive @ below / (positive.sum() * negative.sum()))


def scanner_accuracy(shifts: Sequence[float]) -> float:
    """Accuracy of knowing nothing but the half."""
    return float(ndtr(np.abs(np.asarray(shifts, float))).mean())


@cache
def shifted_within_auc(auc_within: float, q: float, h: float) -> float:
    """AUC over pairs of one participant when their expression is shifted by h.

    Given both expressions g, the difference of the scores is normal with mean `r (g1 - g2) / (1 - q)` and
    variance `1 - 2 r^2 / (1 - q)`; what is concordant is integrated over g1 > -h > g2.

    Args:
        auc_within: The AUC at h = 0.
        q: Correlation of the two expressions.
        h: The shift, of either sign.
    """
    asin_q = np.arcsin(q)
    concordant = auc_within * (1 / 4 - asin_q / (2 * np.pi))
    r = np.sin(((concordant - 1 / 8) * 4 * np.pi + asin_q) / 2)
    high, low = np.linspace(-h, _END, 601)[:, None], np.linspace(-_END, -h, 601)
    density = np.exp(-(high**2 - 2 * q * high * low + low**2) / (2 * (1 - q**2)))
    told = ndtr(r / (1 - q) * (high - low) / np.sqrt(1 - 2 * r**2 / (1 - q)))
    whole, part = (trapezoid(trapezoid(values, low), high[:, 0]) for values in (density, density * told))
    return float(part / whole)
