"""What the ideal reader of a phantom says of each biopsy, from what was planted around its recorded site."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Final

import numpy as np
from scipy.stats import norm

from data_prep.arrays import DoubleArray
from data_prep.phantom.answers import Reader, ideal_reader
from data_prep.phantom.hidden import Hidden, draw_eta, draw_grain, draw_log_level, draw_offset
from data_prep.phantom.interaction import ODDS, posterior
from data_prep.phantom.plan import Plan
from data_prep.phantom.sites import Sites
from data_prep.phantom.spec import FieldModel
from data_prep.phantom.streams import stream
from data_prep.phantom.texture import AMPLITUDE, LEVEL_SDS, log_amplitude_scores, texture_reader

gaussian_reader: Final = cache(ideal_reader)


def ideal_probits(plan: Plan, hidden: Hidden, sites: Sites, participant: int) -> DoubleArray:
    """What the ideal reader says of each biopsy, from the planted images before any scanner effect.

    The patch is cut around the voxel of the recorded site; anatomy, scanner and fading are left out, and the
    white noise of the nugget is drawn afresh.

    Returns:
        m, with `Phi(m)` the probability that the label is positive, shape (biopsies,).
    """
    return _READERS[plan.spec.kind](plan, hidden, sites, participant)


def _gaussian(plan: Plan, hidden: Hidden, sites: Sites, participant: int) -> DoubleArray:
    reader = gaussian_reader(plan.strength(participant), plan.spec.model)
    (patches,) = _signal_patches(plan, hidden, sites, participant)
    return _probits(reader, patches @ reader.score, plan.spec.model)


def _texture(plan: Plan, hidden: Hidden, sites: Sites, participant: int) -> DoubleArray:
    known = (plan.carriers(participant), LEVEL_SDS[plan.spec.signal], plan.spec.model)
    scores = log_amplitude_scores(_noise_power(plan, hidden, sites, participant), *known)
    return _probits(texture_reader(*known), scores, plan.spec.model)


def _interaction(plan: Plan, hidden: Hidden, sites: Sites, participant: int) -> DoubleArray:
    model, q = plan.spec.model, ODDS[plan.spec.signal]
    reader = gaussian_reader(plan.strength(participant), model)
    scores = [patches @ reader.score for patches in _signal_patches(plan, hidden, sites, participant)]
    x = np.stack(scores, axis=-1) * model.kappa2 / reader.rho**2
    return np.asarray(norm.ppf(posterior(x, q, model.kappa2)))


_READERS: Final[dict[str, Callable[[Plan, Hidden, Sites, int], DoubleArray]]] = {
    "gaussian": _gaussian,
    "texture": _texture,
    "interaction": _interaction,
}


def _probits(reader: Reader, scores: DoubleArray, model: FieldModel) -> DoubleArray:
    return np.asarray(np.sqrt(model.kappa2 / (1 - reader.rho**2)) * scores)


def _signal_patches(plan: Plan, hidden: Hidden, sites: Sites, participant: int) -> list[DoubleArray]:
    """`y = sum_j w_j I_j / |w|` around each recorded site, for each field; shape (biopsies, patch voxels)."""
    rng = stream(plan.spec.seed, "patch", participant)
    places, found = _places(plan, sites), []
    seen = plan.weights * plan.present[participant, :, None]
    for field, weights in zip(hidden.fields, seen.T, strict=True):
        norm_of_weights = np.linalg.norm(weights)
        patches = norm_of_weights * np.array([field.at(*place).ravel() for place in places], float)
        for sequence in np.flatnonzero(weights):
            eta = draw_eta(plan, participant, 0, int(sequence))
            noise = np.array([eta.at(*place).ravel() for place in places])
            offset = draw_offset(plan, participant, 0, int(sequence))
            patches += weights[sequence] / norm_of_weights * (noise + offset)
        white = rng.standard_normal(patches.shape)
        found.append(np.asarray(patches + plan.spec.model.nugget**0.5 * white))
    return found


def _noise_power(plan: Plan, hidden: Hidden, sites: Sites, participant: int) -> DoubleArray:
    """Squared noise around each recorded site, averaged over sequences; shape (biopsies, patch voxels)."""
    places = _places(plan, sites)
    log = AMPLITUDE * np.array([hidden.at(*place).ravel() for place in places], float)
    carriers = [sequence for sequence in plan.spec.carriers if plan.present[participant, sequence]]
    power = np.zeros_like(log)
    for sequence in carriers:
        grain = draw_grain(plan, participant, 0, sequence)
        # Beyond the border of a small grid the noise is read from the other side, where it is as white.
        cut = [grain[np.ix_(*(np.asarray(axis) % len(grain) for axis in place))].ravel() for place in places]
        power += np.square(cut, dtype=float) / len(carriers)
    return np.asarray(power * np.exp(2 * (log + draw_log_level(plan, participant, 0))))


def _places(plan: Plan, sites: Sites) -> list[tuple[DoubleArray, DoubleArray, list[int]]]:
    """The axes (x, y, z) of the patch of each biopsy in voxels."""
    side = np.arange(-plan.spec.model.radius, plan.spec.model.radius + 1)
    return [(x + side, y + side, [z]) for x, y, z in sites.voxels]
