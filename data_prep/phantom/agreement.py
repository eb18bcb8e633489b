"""Test-retest agreement of the ideal score of a phantom in closed form.

Two sessions share what they show of the field. A repeat draws the noise anew, the offsets o on another
scanner, and displacements where there is an error of registration. So the intraclass correlation of a score b
is `b'B b / b'S b` with B the covariance between the sessions: `1 - b'C b / b'S b` with C = Ce, plus so2 11'
on another scanner. That the head lies 0.5 mm from where it lay costs less than .004 more and is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data_prep.arrays import DoubleArray
from data_prep.phantom.answers import ideal_reader, noise_covariance, patch_covariance
from data_prep.phantom.joint import Channel, joint_moments
from data_prep.phantom.plan import Plan
from data_prep.phantom.spec import FieldModel
from data_prep.phantom.texture import LEVEL_SDS, measured_covariance, texture_reader
from data_prep.phantom.views import frequent_views


@dataclass(frozen=True)
class Agreement:
    """Intraclass correlations of a score.

    Attributes:
        same: Between two sessions on one scanner.
        new: Between sessions on two scanners.
    """

    same: float
    new: float


def score_icc(score: DoubleArray, total: DoubleArray, error: DoubleArray) -> float:
    """Test-retest ICC of a linear score: `1 - b'C b / b'S b`.

    Args:
        score: b, shape (voxels,).
        total: S, the covariance of a patch in one session.
        error: C, of what another session draws anew.
    """
    return float(1 - score @ error @ score / (score @ total @ score))


def ideal_score(W: float, model: FieldModel) -> DoubleArray:
    """b, the weights of the ideal score `b'y` of a patch `y = sum_j w_j I_j / |w|`; shape (voxels,)."""
    return ideal_reader(W, model).score


def gaussian_agreement(W: float, model: FieldModel) -> Agreement:
    """Of the ideal score at signal strength W."""
    score, total, noise = ideal_score(W, model), patch_covariance(W, model), noise_covariance(model)
    return Agreement(score_icc(score, total, noise), score_icc(score, total, noise + model.offset_variance))


def texture_agreement(sequences: int, level_sd: float, model: FieldModel) -> Agreement:
    """Of the ideal score of measurements of a texture's log-amplitude; see `texture_reader`."""
    score = texture_reader(sequences, level_sd, model).score
    total = measured_covariance(sequences, level_sd, model)
    noise = np.eye(len(total)) / (2 * sequences)
    return Agreement(score_icc(score, total, noise), score_icc(score, total, noise + level_sd**2))


def joint_agreement(channels: Sequence[Channel], model: FieldModel) -> Agreement:
    """Of the ideal score of sequences that are read one by one; displacements are drawn anew."""
    moments = joint_moments(channels, model)
    score = np.asarray(np.linalg.solve(moments.total, moments.site), dtype=np.float64)
    new = moments.total - moments.repeated
    return Agreement(
        score_icc(score, moments.total, new - moments.offsets), score_icc(score, moments.total, new)
    )


def agreements(plan: Plan) -> list[Agreement]:
    """Of the ideal score of a complete patch of a phantom, at places that sites have equally often."""
    spec, model = plan.spec, plan.spec.model
    if spec.kind == "texture":
        return [texture_agreement(len(spec.carriers), LEVEL_SDS[spec.signal], model)]
    if spec.several:
        views = frequent_views(spec, tuple(plan.weights[:, 0].round(12).tolist()), model)
        return [joint_agreement(view, model) for view in views]
    return [gaussian_agreement(float(np.square(plan.weights[:, 0]).sum()), model)]
