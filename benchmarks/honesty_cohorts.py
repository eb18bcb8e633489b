"""Cohorts of the Gaussian phantom as features: the means of each sequence over discs around a biopsy.

The features and the expression are jointly normal with the covariances of `data_prep.phantom.answers`, but
for sites of one participant so far apart that their fields are independent given the participant's level.
Drawing them takes milliseconds, where a phantom of images takes half a minute.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from data_prep.phantom.answers import (
    auc_from_rho,
    field_covariance,
    patch_covariance,
    patch_offsets,
    site_covariance,
)
from data_prep.phantom.spec import MAX_PER_PARTICIPANT, SEQUENCES, FieldModel, PhantomSpec
from data_prep.phantom.weights import signal_weights

Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

PARTICIPANTS, BIOPSIES = 45, 150
RADII = (0, 3, 5, 8)  # of the discs, in mm
MODEL = FieldModel()
WEIGHTS = signal_weights(PhantomSpec())[:, 0]  # W = 0.4


@dataclass(frozen=True, eq=False)
class Cohort:
    """Features and labels.

    Attributes:
        feature: Shape (biopsies, sequences, radii).
        label: 0 or 1, shape (biopsies,).
        participant: An index, shape (biopsies,).
    """

    feature: Doubles
    label: Ints
    participant: Ints


def draw_cohort(rng: np.random.Generator, participants: int, biopsies: int, signal: bool) -> Cohort:
    """A cohort of 1 to 8 biopsies a participant.

    Args:
        rng: Where everything is drawn from.
        participants: How many.
        biopsies: How many in all.
        signal: Whether the labels follow the field that the features show; else they follow an independent
            one, with the same level a participant.
    """
    who = _participants(rng, participants, biopsies)
    shown, at_site = _field(rng, who)
    if not signal:
        _, at_site = _field(rng, who)
    expression = np.sqrt(MODEL.kappa2) * at_site + np.sqrt(1 - MODEL.kappa2) * rng.standard_normal(biopsies)
    offset = np.sqrt(MODEL.offset_variance) * rng.standard_normal((participants, len(SEQUENCES)))
    noise = rng.standard_normal((biopsies, len(SEQUENCES), len(RADII))) @ _NOISE.T
    feature = WEIGHTS[:, None] * shown[:, None, :] + noise + offset[who][:, :, None]
    return Cohort(feature, (expression > 0).astype(np.int64), who)


def _participants(rng: np.random.Generator, participants: int, biopsies: int) -> Ints:
    room = np.repeat(np.arange(participants), MAX_PER_PARTICIPANT - 1)
    more = rng.choice(room, biopsies - participants, replace=False)
    return np.sort(np.concatenate([np.arange(participants), more])).astype(np.int64)


def _field(rng: np.random.Generator, who: Ints) -> tuple[Doubles, Doubles]:
    """Means of a field over the discs, shape (biopsies, radii), and its value at the true sites."""
    level = np.sqrt(MODEL.tau2) * rng.standard_normal(who.max() + 1)[who]
    field = rng.standard_normal((len(who), len(RADII) + 1)) @ _FIELD.T + level[:, None]
    return field[:, :-1], field[:, -1]


def _discs() -> Doubles:
    """The weight of each voxel of a patch in the mean over each disc, shape (radii, voxels)."""
    inside = (patch_offsets(MODEL.radius) ** 2).sum(axis=1) <= np.square(RADII)[:, None]
    return inside / inside.sum(axis=1, keepdims=True)


def _field_of_discs() -> Doubles:
    """Covariance of a field's means over the discs and its value at the true site, the level left out."""
    discs = _discs()
    covariance = np.ones((len(RADII) + 1, len(RADII) + 1))
    covariance[:-1, :-1] = discs @ field_covariance(MODEL) @ discs.T
    covariance[:-1, -1] = covariance[-1, :-1] = discs @ site_covariance(1.0, MODEL)
    return covariance - MODEL.tau2


def _noise_of_discs() -> Doubles:
    discs = _discs()
    return discs @ (patch_covariance(0.0, MODEL) - MODEL.offset_variance) @ discs.T


def best_auc() -> float:
    """The AUC of the best score of all features, in closed form."""
    field, noise = _field_of_discs() + MODEL.tau2, _noise_of_discs()
    size = len(SEQUENCES) * len(RADII)
    shared = np.kron(np.outer(WEIGHTS, WEIGHTS), field[:-1, :-1])
    own = np.kron(np.eye(len(SEQUENCES)), noise + MODEL.offset_variance)
    covariance = (shared + own).reshape(size, size)
    with_expression = np.sqrt(MODEL.kappa2) * np.kron(WEIGHTS, field[:-1, -1])
    return auc_from_rho(float(np.sqrt(with_expression @ np.linalg.solve(covariance, with_expression))))


_FIELD, _NOISE = np.linalg.cholesky(_field_of_discs()), np.linalg.cholesky(_noise_of_discs())
