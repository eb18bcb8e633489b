"""The closed forms of the interaction: what is expressed is the product of two hidden fields.

Expression follows `g = kappa zA zB + sqrt(1 - kappa2) e` with independent fields, each seen in one sequence
as `y = sqrt(W) z + eta + o`. Flipping both fields keeps every label and flips every linear score, whose AUC
is therefore one half. What a patch says of a field at the true site is `x = b'y / R2`, the field plus noise
of variance 1 / q with `q = R2 / (1 - R2)`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr
from scipy.stats import norm

from data_prep.arrays import DoubleArray
from data_prep.phantom.answers import patch_covariance, site_covariance
from data_prep.phantom.spec import FieldModel, PhantomSpec

ODDS: Final = {"easy": 2.0, "default": 1.0, "hard": 0.5, "none": 1.0}
"""q by signal. With a site that is 2.5 mm off in each direction, no image of a field gives more than 2.8."""

_QUADRATURE: Final = 15  # nodes of the Gauss-Hermite rule along each field
_WEAKEST, _STRONGEST = 1e-3, 100.0  # between these W is looked for; beyond, more of it adds nothing
_GRID, _EXTENT = 120, 6.0  # points along each axis of the distribution of x, and where it ends, in deviations


@dataclass(frozen=True)
class ProductReader:
    """The ideal reader of two patches.

    Attributes:
        q: How much better than chance each field is known at the true site.
        auc: AUC of the posterior.
        accuracy: Its accuracy at one half.
    """

    q: float
    auc: float
    accuracy: float


def odds(W: float, model: FieldModel) -> float:
    """The q of a field that adds the variance W to its sequence."""
    c = site_covariance(W, model)
    R2 = float(c @ np.linalg.solve(patch_covariance(W, model), c))
    return R2 / (1 - R2)


@cache
def field_strength(q: float, model: FieldModel) -> float:
    """The W at which `odds` is q, to the digits that every processor agrees on.

    Raises:
        ValueError: No strength reaches this q, for the site is too uncertain.
    """
    if q >= (most := odds(_STRONGEST, model)):
        raise ValueError(f"q must be one that some strength reaches, below {most:.2f}, but got {q}")
    log_W = brentq(lambda log: odds(float(np.exp(log)), model) - q, *np.log([_WEAKEST, _STRONGEST]))
    return round(float(np.exp(log_W)), 9)


def planted_strength(spec: PhantomSpec) -> float:
    """W of each field: what gives the signal's q on points 1 mm apart with sites 2.5 mm off."""
    return field_strength(ODDS[spec.signal], FieldModel())


def planted_odds(spec: PhantomSpec) -> float:
    """The q of each field with this W on the grid and with the error of sites of a phantom."""
    plain = spec.model == FieldModel()
    return ODDS[spec.signal] if plain else odds(planted_strength(spec), spec.model)


def posterior(x: DoubleArray, q: float, kappa2: float) -> DoubleArray:
    """Probability of a positive label, by Gauss-Hermite quadrature over both fields.

    Args:
        x: What the two patches say of their fields at the site, shape (..., 2).
        q: See the module.
        kappa2: Share of the variance of expression that the product explains.

    Returns:
        `E Phi(kappa zA zB / sqrt(1 - kappa2))`, z normal with mean `x q / (1 + q)` and variance
        `1 / (1 + q)`; shape (...).
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(_QUADRATURE)
    z = x[..., None] * (q / (1 + q)) + nodes / np.sqrt(1 + q)
    product = z[..., 0, :, None] * z[..., 1, None, :]
    probability = ndtr(np.sqrt(kappa2 / (1 - kappa2)) * product) @ weights @ weights
    return np.asarray(probability / weights.sum() ** 2)


@cache
def product_reader(q: float, kappa2: float) -> ProductReader:
    """The ideal reader at q; its posterior is taken over the normal distribution of both x."""
    side = (np.arange(_GRID) + 0.5) * _EXTENT / _GRID
    density = np.outer(norm.pdf(side), norm.pdf(side)).ravel()
    x = np.sqrt(1 + 1 / q) * np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    same = posterior(x, q, kappa2)
    # Where the signs of the two x differ, the posterior is one minus that of the same signs.
    p, mass = np.concatenate([same, 1 - same]), np.tile(density / (2 * density.sum()), 2)
    order = np.argsort(p)
    positive, negative = (mass * p)[order], (mass * (1 - p))[order]
    below = np.cumsum(negative) - negative / 2
    auc = float(positive @ below / (positive.sum() * negative.sum()))
    return ProductReader(q, auc, float(mass @ np.maximum(p, 1 - p)))
