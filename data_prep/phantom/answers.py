"""The closed forms: what the best possible reader of a patch reaches on a Gaussian phantom.

Participant p, sequence j, voxel x: the field `z = u_p + sqrt(1 - tau2) F(x)`, an image
`I_j = w_j z + eta_j + o_pj`, the expression `g = kappa z(true site) + sqrt(1 - kappa2) e`, the label g > 0;
the recorded site is the true one plus a normal error. All that a patch knows of the field is the weighted
mean `y = sum_j w_j I_j / |w|`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data_prep.arrays import DoubleArray
from data_prep.phantom.confounding import shifted_auc
from data_prep.phantom.kernels import patch_correlation, site_correlation
from data_prep.phantom.spec import FieldModel


def auc_from_rho(rho: float) -> float:
    """AUC of a normal score that correlates by rho with the normal variable that a median split cut.

    >>> round(auc_from_rho(0.54), 2)
    0.75
    """
    return float(0.5 + 2 / np.pi * np.arcsin(rho / np.sqrt(2)))


def rho_from_auc(auc: float) -> float:
    """The inverse of `auc_from_rho`.

    >>> round(rho_from_auc(0.75), 2)
    0.54
    """
    return float(np.sqrt(2) * np.sin(np.pi * (auc - 0.5) / 2))


def accuracy_from_rho(rho: float) -> float:
    """The best accuracy at that correlation.

    >>> round(accuracy_from_rho(0.5), 4)
    0.6667
    """
    return float(0.5 + np.arcsin(rho) / np.pi)


def patch_offsets(radius: int) -> DoubleArray:
    """Offsets (x, y) of a patch's voxels from its centre in mm, shape ((2 radius + 1)^2, 2), x slowest."""
    side = np.arange(-radius, radius + 1, dtype=float)
    return np.stack(np.meshgrid(side, side, indexing="ij"), axis=-1).reshape(-1, 2)


@dataclass(frozen=True)
class Reader:
    """The ideal reader of one patch, given W of the sequences that are there.

    Attributes:
        score: b, the weights of the ideal score `b'y`, shape (voxels,).
        rho: Correlation of the ideal score with the expression g.
        auc: AUC of the ideal score over biopsies of all participants.
        auc_within: The best AUC over pairs of distant biopsies of one participant.
    """

    score: DoubleArray
    rho: float
    auc: float
    auc_within: float


def ideal_reader(W: float, model: FieldModel) -> Reader:
    """Solve for the ideal score at signal strength W.

    Args:
        W: Sum of the squared weights of the sequences at hand, above 0.
        model: The constants of the field and its noise.
    """
    return linear_reader(patch_covariance(W, model), W, model)


def linear_reader(S: DoubleArray, W: float, model: FieldModel) -> Reader:
    """Solve for the ideal score of a normal patch `y = sqrt(W) z + noise + level`.

    Args:
        S: Covariance of the patch, shape (voxels, voxels).
        W: Variance that the field z adds to each voxel.
        model: The constants of the field; the level has its `offset_variance`.
    """
    c = site_covariance(W, model)
    score: DoubleArray = np.linalg.solve(S, c).astype(float)
    rho = float(np.sqrt(model.kappa2 * c @ score))
    return Reader(score, rho, auc_from_rho(rho), _auc_within(S, c, W, model))


def patch_covariance(W: float, model: FieldModel) -> DoubleArray:
    """S, the covariance of the patch y, shape (voxels, voxels)."""
    covariance: DoubleArray = W * field_covariance(model) + noise_covariance(model) + model.offset_variance
    return covariance


def noise_covariance(model: FieldModel) -> DoubleArray:
    """Ce, the covariance of the noise over a patch: what a repeat draws anew, shape (voxels, voxels)."""
    correlation = patch_correlation(model, model.noise_length)
    covariance: DoubleArray = correlation + model.nugget * np.eye(len(correlation))
    return covariance


def field_covariance(model: FieldModel) -> DoubleArray:
    """Cz, the covariance of the field z over a patch, shape (voxels, voxels)."""
    covariance: DoubleArray = model.tau2 + (1 - model.tau2) * patch_correlation(model, model.length)
    return covariance


def site_covariance(W: float, model: FieldModel) -> DoubleArray:
    """c_s, the covariance of y with the field at the true site, shape (voxels,)."""
    covariance: DoubleArray = np.sqrt(W) * (model.tau2 + (1 - model.tau2) * site_correlation(model))
    return covariance


def _auc_within(S: DoubleArray, c: DoubleArray, W: float, model: FieldModel) -> float:
    within = S - (W * model.tau2 + model.offset_variance)
    h = c - np.sqrt(W) * model.tau2
    score = np.linalg.solve(within, h)
    return within_auc(float(np.sqrt(model.kappa2 / 2 * (h @ score))), model.kappa2 * model.tau2)


def within_auc(r: float, q: float) -> float:
    """AUC over pairs of one participant.

    Args:
        r: Correlation of the difference of two ideal scores with the expression of one of the two.
        q: Correlation of the two expressions.
    """
    concordant = 1 / 8 + (2 * np.arcsin(r) - np.arcsin(q)) / (4 * np.pi)
    return float(concordant / (1 / 4 - np.arcsin(q) / (2 * np.pi)))


def pooled_auc(rhos: Sequence[float]) -> float:
    """AUC of the optimal posterior over biopsies that differ in what is known of them.

    A biopsy with correlation rho has the posterior `Phi(m)`, m normal with variance `rho^2 / (1 - rho^2)`;
    the AUC of the mixture over biopsies is integrated numerically.

    Args:
        rhos: One correlation per biopsy, each above 0 and below 1.
    """
    return shifted_auc(rhos, [0.0] * len(rhos))


def observed_auc(score: DoubleArray, label: DoubleArray) -> float | None:
    """AUC of scores for labels 0 and 1, ties count a half; None where only one class is there."""
    positive, negative = score[label > 0], score[label <= 0]
    if not len(positive) or not len(negative):
        return None
    difference = positive[:, None] - negative[None]
    return float(((difference > 0) + (difference == 0) / 2).mean())
