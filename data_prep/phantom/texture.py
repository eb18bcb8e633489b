"""The closed forms of the texture: the hidden field sets the amplitude of white noise.

The noise of a sequence that carries the field is `exp(L) e` with e white, `L = a z + n` its log-amplitude,
and n a level that a participant's images from one scanner share, in every sequence. Each voxel of k sequences
says of L what a normal measurement of variance `1 / 2k` would: the Fisher information of a log-scale is 2. So
the reader is that of a Gaussian phantom with `W = a^2`, white noise, and n for its level.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Final

import numpy as np

from data_prep.arrays import DoubleArray
from data_prep.phantom.answers import Reader, field_covariance, linear_reader, site_covariance
from data_prep.phantom.spec import FieldModel

AMPLITUDE: Final = 0.3
"""a, the change of the log-amplitude for a unit of the field."""

LEVEL_SDS: Final = {"easy": 0.3, "default": 0.42, "hard": 0.6, "none": 0.42}
"""Standard deviation of the level n by signal."""

_STEPS: Final = 30  # of Fisher scoring; each divides the error by 1.8 with one sequence, by 2.9 with five


@cache
def texture_reader(sequences: int, level_sd: float, model: FieldModel) -> Reader:
    """The ideal reader of a patch of so many sequences.

    Args:
        sequences: k, how many of those that carry the field are there.
        level_sd: Standard deviation of the level n.
        model: The constants of the field; its constants of the noise are not used.

    Returns:
        The reader of measurements of L, shape (voxels,); see `log_amplitude_scores` for images.
    """
    level = replace(model, offset_variance=level_sd**2)
    return linear_reader(measured_covariance(sequences, level_sd, model), AMPLITUDE**2, level)


@cache
def patch_sd_rho(sequences: int, level_sd: float, model: FieldModel) -> float:
    """Correlation with the expression of the mean of L over a patch: what its standard deviation tells."""
    c, H = site_covariance(AMPLITUDE**2, model), measured_covariance(sequences, level_sd, model)
    return float(np.sqrt(model.kappa2 / H.mean()) * c.mean())


def log_amplitude_scores(
    power: DoubleArray, sequences: int, level_sd: float, model: FieldModel
) -> DoubleArray:
    """The ideal score of patches of noise: its posterior mode by Fisher scoring.

    Args:
        power: Squared noise averaged over the sequences, shape (patches, voxels).
        sequences: As for `texture_reader`.
        level_sd: As for `texture_reader`.
        model: As for `texture_reader`.

    Returns:
        `b'y`, y the measurements of L that the noise amounts to at the mode; shape (patches,).

    References:
        Rasmussen and Williams 2006, "Gaussian processes for machine learning", 3.4.
    """
    shrink = _shrinkage(sequences, level_sd, model)
    # From the level of the whole patch: from 0, a participant with strong noise would overshoot by far.
    L = np.broadcast_to(np.log(power.mean(axis=1, keepdims=True)) / 2, power.shape)
    for _ in range(_STEPS):
        L = _measurements(L, power) @ shrink
    return np.asarray(_measurements(L, power) @ texture_reader(sequences, level_sd, model).score)


def _measurements(L: DoubleArray, power: DoubleArray) -> DoubleArray:
    return np.asarray(L + (power * np.exp(-2 * L) - 1) / 2)


def measured_covariance(sequences: int, level_sd: float, model: FieldModel) -> DoubleArray:
    """H, the covariance of the measurements of L, shape (voxels, voxels)."""
    prior = _prior(level_sd, model)
    return prior + np.eye(len(prior)) / (2 * sequences)


def _prior(level_sd: float, model: FieldModel) -> DoubleArray:
    prior: DoubleArray = AMPLITUDE**2 * field_covariance(model) + level_sd**2
    return prior


@cache
def _shrinkage(sequences: int, level_sd: float, model: FieldModel) -> DoubleArray:
    """From measurements of L to its posterior mean, shape (voxels, voxels)."""
    prior = _prior(level_sd, model)
    return np.linalg.solve(measured_covariance(sequences, level_sd, model), prior).astype(float)
