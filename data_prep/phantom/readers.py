"""What the ideal reader of a phantom says of each biopsy, from what was planted around its recorded site."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from scipy.stats import norm

from data_prep.arrays import DoubleArray
from data_prep.phantom.answers import Reader
from data_prep.phantom.hidden import (
    Hidden,
    draw_eta,
    draw_grain,
    draw_log_level,
    draw_misplacement,
    draw_move,
    draw_offset,
)
from data_prep.phantom.interaction import planted_odds, posterior
from data_prep.phantom.joint import Channel, joint_reader
from data_prep.phantom.kernels import patch_axes
from data_prep.phantom.lattice import lattice_of
from data_prep.phantom.plan import Plan
from data_prep.phantom.sites import Sites
from data_prep.phantom.spec import FieldModel
from data_prep.phantom.streams import stream
from data_prep.phantom.texture import AMPLITUDE, LEVEL_SDS, log_amplitude_scores, texture_reader
from data_prep.phantom.views import Axes, channels_at, gaussian_reader, voxel_places


def ideal_probits(plan: Plan, hidden: Hidden, sites: Sites, participant: int) -> DoubleArray:
    """What the ideal reader says of each biopsy, from the planted images before any scanner effect.

    The patch is cut around the voxel of the recorded site; anatomy, scanner and fading are left out, and the
    white noise of the nugget is drawn afresh. The reader knows what a confounded scanner adds to expression.

    Returns:
        m, with `Phi(m)` the probability that the label is positive, shape (biopsies,).
    """
    return _READERS[plan.spec.kind](plan, hidden, sites, participant)


def _gaussian(plan: Plan, hidden: Hidden, sites: Sites, participant: int) -> DoubleArray:
    scores, model = linear_scores(plan, hidden, sites, participant, 0), plan.spec.model
    rho = np.array([reader.rho for reader in site_readers(plan, sites, participant)])
    probits = np.sqrt(model.kappa2 / (1 - rho**2)) * scores
    return np.asarray(probits + plan.shift(participant) / np.sqrt(1 - rho**2))


def site_readers(plan: Plan, sites: Sites, participant: int) -> list[Reader]:
    """The ideal reader of the patch around each recorded site of a gaussian phantom."""
    if not plan.spec.several:
        return [gaussian_reader(plan.strength(participant), plan.spec.model)] * len(sites.recorded)
    return [joint_reader(view, plan.spec.model) for view, _ in _views(plan, sites, participant)]


def linear_scores(plan: Plan, hidden: Hidden, sites: Sites, participant: int, session: int) -> DoubleArray:
    """The ideal linear score `b'y` of each biopsy in one session, from the signal alone, shape (biopsies,).

    This is what the closed forms of `answers`, `joint` and `agreement` are exact for: the planted field at
    the voxels of the patch, where the session's head lies, with noise and offsets, and without anatomy,
    scanner and fading.
    """
    if not plan.spec.several:
        reader = gaussian_reader(plan.strength(participant), plan.spec.model)
        (patches,) = signal_patches(plan, hidden, sites, participant, session)
        return np.asarray(patches @ reader.score)
    rng, nugget = _white(plan, participant, session), plan.spec.model.nugget**0.5
    shown = [
        _Shown(plan, hidden, (participant, session, sequence)) for sequence in _carriers(plan, participant)
    ]
    scores = []
    for view, place in _views(plan, sites, participant):
        parts = [sequence.at(channel, place) for sequence, channel in zip(shown, view, strict=True)]
        y = np.concatenate(parts)
        y += nugget * rng.standard_normal(y.shape)
        scores.append(float(y @ joint_reader(view, plan.spec.model).score))
    return np.array(scores)


def _carriers(plan: Plan, participant: int) -> list[int]:
    """The sequences that a joint reader's channels are of, in their order."""
    return [index for index, weight in enumerate(plan.seen_weights(participant)) if weight]


def _views(plan: Plan, sites: Sites, participant: int) -> list[tuple[tuple[Channel, ...], DoubleArray]]:
    """What the patch of each biopsy holds, and the middle of its site's voxel in mm."""
    spec = plan.spec
    middles = lattice_of(spec).middles(sites.recorded)
    weights = plan.seen_weights(participant)
    return [(channels_at(spec, weights, place, spec.model), place) for place in middles]


class _Shown:
    """What one sequence shows of the only field in one session, without the nugget."""

    def __init__(self, plan: Plan, hidden: Hidden, key: tuple[int, int, int]) -> None:
        (self.field,) = hidden.fields
        self.noise, self.offset = draw_eta(plan, *key), draw_offset(plan, *key)
        participant, session, _ = key
        self.move = draw_move(plan.spec, participant, session) + draw_misplacement(plan, *key)

    def at(self, channel: Channel, place: DoubleArray) -> DoubleArray:
        """The signal in the voxels of a channel around a place in mm, shape (voxels,)."""
        axes = voxel_places(channel, place)
        signal = self.field.at(*_moved(axes, self.move), box=channel.box).ravel().astype(float)
        noise = self.noise.at(*axes, box=channel.box).ravel()
        return np.asarray(channel.weight * signal + noise + self.offset)


def _texture(plan: Plan, hidden: Hidden, sites: Sites, participant: int) -> DoubleArray:
    known = (plan.carriers(participant), LEVEL_SDS[plan.spec.signal], plan.spec.model)
    scores = log_amplitude_scores(_noise_power(plan, hidden, sites, participant), *known)
    return _probits(texture_reader(*known), scores, plan.spec.model)


def _interaction(plan: Plan, hidden: Hidden, sites: Sites, participant: int) -> DoubleArray:
    model, q = plan.spec.model, planted_odds(plan.spec)
    reader = gaussian_reader(plan.strength(participant), model)
    found = signal_patches(plan, hidden, sites, participant, 0)
    x = np.stack([patches @ reader.score for patches in found], axis=-1) * model.kappa2 / reader.rho**2
    return np.asarray(norm.ppf(posterior(x, q, model.kappa2)))


_READERS: Final[dict[str, Callable[[Plan, Hidden, Sites, int], DoubleArray]]] = {
    "gaussian": _gaussian,
    "texture": _texture,
    "interaction": _interaction,
}


def _probits(reader: Reader, scores: DoubleArray, model: FieldModel) -> DoubleArray:
    return np.asarray(np.sqrt(model.kappa2 / (1 - reader.rho**2)) * scores)


def signal_patches(
    plan: Plan, hidden: Hidden, sites: Sites, participant: int, session: int
) -> list[DoubleArray]:
    """`y = sum_j w_j I_j / |w|` around each recorded site, for each field; shape (biopsies, patch voxels).

    At the second session the field lies 0.5 mm from where it lay, and the noise is another.
    """
    spec, rng = plan.spec, _white(plan, participant, session)
    box, places, found = lattice_of(spec).box, _places(plan, sites), []
    move = draw_move(spec, participant, session)
    seen = plan.weights * plan.present[participant, :, None]
    for field, weights in zip(hidden.fields, seen.T, strict=True):
        norm_of_weights = float(np.linalg.norm(weights))
        moved = [_moved(place, move) for place in places]
        signal = [field.at(*place, box=box).ravel() for place in moved]
        patches = norm_of_weights * np.array(signal, dtype=np.float64)
        for sequence in np.flatnonzero(weights):
            key = (participant, session, int(sequence))
            eta = draw_eta(plan, *key)
            noise = np.array([eta.at(*place, box=box).ravel() for place in places])
            patches += weights[sequence] / norm_of_weights * (noise + draw_offset(plan, *key))
        white = rng.standard_normal(patches.shape)
        found.append(np.asarray(patches + spec.model.nugget**0.5 * white))
    return found


def _moved(axes: Axes, move: DoubleArray) -> Axes:
    """Where the anatomy at these axes lies before it moved."""
    x, y, z = axes
    return x - move[0], y - move[1], z - move[2]


def _white(plan: Plan, participant: int, session: int) -> np.random.Generator:
    return stream(plan.spec.seed, "patch", participant, *([session] if session else []))


def _noise_power(plan: Plan, hidden: Hidden, sites: Sites, participant: int) -> DoubleArray:
    """Squared noise around each recorded site, averaged over sequences; shape (biopsies, patch voxels)."""
    lattice, places = lattice_of(plan.spec), _places(plan, sites)
    log = AMPLITUDE * np.array([hidden.at(*place, box=lattice.box).ravel() for place in places], float)
    carriers = [sequence for sequence in plan.spec.carriers if plan.present[participant, sequence]]
    power = np.zeros_like(log)
    for sequence in carriers:
        grain = draw_grain(plan, participant, 0, sequence)
        # Beyond the border of a small grid the noise is read from the other side, where it is as white.
        cut = [grain[lattice.wrapped(place)].ravel() for place in places]
        power += np.square(cut, dtype=float) / len(carriers)
    return np.asarray(power * np.exp(2 * (log + draw_log_level(plan, participant, 0))))


def _places(plan: Plan, sites: Sites) -> list[Axes]:
    """The axes (x, y, z) of the patch of each biopsy in mm."""
    across, along = patch_axes(plan.spec.model)
    return [
        (x + across, y + along, np.array([z])) for x, y, z in lattice_of(plan.spec).middles(sites.recorded)
    ]
