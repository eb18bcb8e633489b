"""How well the best map of one participant can follow what was planted: correlations over the voxels.

Within a participant the level u and the offsets o are constant and tell nothing. With h the covariance of the
patch with the field around u at its middle, and Sw that of the patch without u and o, the best map of patches
explains `h' Sw^-1 h / v` of the field's variance v, which is `1 - tau2` where voxels are points; the bound is
the root of that. No function of the patch does better over many voxels: given the levels all is normal. It is
exact for what the ceilings of `data_prep.phantom.ceilings` are exact for, and an upper bound otherwise.

Of an interaction the bound is that of a reader who is told the participant's two levels, which a map does not
tell apart from the offsets: an upper bound that is not attained.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

import numpy as np

from data_prep.phantom.hidden import draw_hidden
from data_prep.phantom.interaction import planted_strength
from data_prep.phantom.joint import Channel, joint_moments, plain_channels
from data_prep.phantom.kernels import interval_correlation
from data_prep.phantom.plan import Plan
from data_prep.phantom.spec import FieldModel
from data_prep.phantom.texture import AMPLITUDE
from data_prep.phantom.views import frequent_views

_MOST: Final = (16.0, 6.0)  # mm, beyond which the equations take minutes and tell nothing more
_MOST_OF_SEVERAL: Final = (8.0, 2.0)  # where each sequence has voxels of its own


@dataclass(frozen=True)
class Reach:
    """How far around a voxel a model sees, in mm: to each side in the slice, and through slices."""

    radius_mm: float = 8.0
    depth_mm: float = 0.0


def map_bound(plan: Plan, participant: int, reach: Reach) -> float:
    """The largest correlation with the planted field over one participant's voxels.

    Args:
        plan: The phantom's, with who has which sequence.
        participant: Index from 0.
        reach: What the patch holds; a radius between whole mm counts as the next larger one. Counted are 16
            mm and slices 6 mm away at most, of displaced sequences and of mixed grids 8 and 2: farther voxels
            add less than .002. Mixed grids are read in their two slices next to the voxel whatever the depth,
            as by the ceilings.

    Returns:
        From 0 to 1; of displaced sequences that of the best linear reader.
    """
    radius, depth = _MOST_OF_SEVERAL if plan.spec.several else _MOST
    model = replace(plan.spec.model, radius=math.ceil(min(radius, reach.radius_mm)), site_sd=0.0)
    return math.sqrt(_SHARES[plan.spec.kind](plan, participant, model, min(depth, reach.depth_mm)))


def _gaussian(plan: Plan, participant: int, model: FieldModel, depth: float) -> float:
    """The mean over the places that voxels have equally often."""
    spec, weights = plan.spec, plan.seen_weights(participant)
    if not spec.several:
        return explained(_alone(plan.strength(participant), model, depth), model)
    views = frequent_views(spec, weights, model)
    if spec.grids != "mixed":
        views = [_deep(view, model, depth) for view in views]
    return float(np.mean([explained(view, model) for view in views]))


def _texture(plan: Plan, participant: int, model: FieldModel, depth: float) -> float:
    return explained(_alone(AMPLITUDE**2, model, depth), model, plan.carriers(participant))


def _interaction(plan: Plan, participant: int, model: FieldModel, depth: float) -> float:
    """Of `(uA + fA)(uB + fB)`, f of variance v, of which the share R2 is told.

    With both u known the product varies by `(uA^2 + uB^2) v + v^2`, its posterior mean by the same with R2 v.
    """
    R2, v = explained(_alone(planted_strength(plan.spec), model, depth), model), field_variance(model)
    levels = sum(field.level**2 for field in draw_hidden(plan, participant).fields)
    return (levels * R2 + v * R2**2) / (levels + v)


_SHARES: Final[dict[str, Callable[[Plan, int, FieldModel, float], float]]] = {
    "gaussian": _gaussian,
    "texture": _texture,
    "interaction": _interaction,
}


@lru_cache(maxsize=256)
def explained(channels: tuple[Channel, ...], model: FieldModel, textures: int = 0) -> float:
    """The share of the field's variance around its level that a patch tells.

    Args:
        channels: What the patch holds.
        model: The constants of the field, its sites exact.
        textures: How many sequences show the field in the amplitude of their noise: each voxel of each is a
            measurement of variance 1/2, see `data_prep.phantom.texture`; 0 where it adds to the signal.
    """
    moments = joint_moments(channels, model)
    field = moments.signal - model.tau2 * np.outer(moments.level, moments.level)
    noise = np.eye(len(field)) / (2 * textures) if textures else moments.noise
    h = moments.site - model.tau2 * moments.level
    return float(h @ np.linalg.solve(field + noise, h)) / field_variance(model)


def field_variance(model: FieldModel) -> float:
    """Variance of what a voxel shows of the field around the participant's level."""
    own = [float(interval_correlation(np.zeros(1), model.length, edge, edge)[0]) for edge in model.box]
    return (1 - model.tau2) * math.prod(own)


def _alone(strength: float, model: FieldModel, depth: float) -> tuple[Channel, ...]:
    """The weighted mean of the sequences, which is all that they tell where none is displaced."""
    plain = plain_channels((strength**0.5,), replace(model, registration_sd=0.0))
    return _deep(plain, model, depth)


def _deep(channels: tuple[Channel, ...], model: FieldModel, depth: float) -> tuple[Channel, ...]:
    """The same patches with the slices of so many mm to each side."""
    edge = model.edges[2]
    most = int(depth / edge + 1e-9)
    z = tuple((edge * np.arange(-most, most + 1)).tolist())
    return tuple(replace(channel, axes=(channel.axes[0], channel.axes[1], z)) for channel in channels)
