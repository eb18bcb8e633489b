"""What was planted in a phantom, and what the best reader of its patches would make of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import cache
from typing import Any, Final

import numpy as np

from data_prep.arrays import DoubleArray
from data_prep.phantom.answers import (
    Reader,
    accuracy_from_rho,
    ideal_reader,
    observed_auc,
    pooled_auc,
    rho_from_auc,
)
from data_prep.phantom.hidden import Hidden, draw_eta, draw_offset
from data_prep.phantom.plan import Plan
from data_prep.phantom.sites import Sites
from data_prep.phantom.spec import SEQUENCES, SIGNALS, TPM_CUT
from data_prep.phantom.streams import stream

_RADII: Final = (2, 4, 8, 16)
_DIGITS: Final = 9  # what every processor agrees on

_reader = cache(ideal_reader)


def ideal_probits(plan: Plan, hidden: Hidden, sites: Sites, participant: int) -> DoubleArray:
    """What the ideal reader says of each biopsy, from the planted images before any scanner effect.

    The patch is cut around the voxel of the recorded site; anatomy, scanner and fading are left out, and the
    white noise is drawn afresh.

    Returns:
        m, with `Phi(m)` the probability that the label is positive, shape (biopsies,).
    """
    model = plan.spec.model
    reader = _reader(plan.strength(participant), model)
    score = _weighted_patches(plan, hidden, sites, participant) @ reader.score
    return np.asarray(np.sqrt(model.kappa2 / (1 - reader.rho**2)) * score)


def _weighted_patches(plan: Plan, hidden: Hidden, sites: Sites, participant: int) -> DoubleArray:
    """`y = sum_j w_j I_j / |w|` around each recorded site, shape (biopsies, patch voxels)."""
    model = plan.spec.model
    side = np.arange(-model.radius, model.radius + 1)
    places = [(x + side, y + side, [z]) for x, y, z in sites.voxels]
    weights = np.asarray(plan.spec.weights) * plan.present[participant]
    norm = np.linalg.norm(weights)
    patches = norm * np.array([hidden.at(*place).ravel() for place in places], float)
    for sequence in np.flatnonzero(weights):
        eta = draw_eta(plan, participant, 0, int(sequence))
        noise = np.array([eta.at(*place).ravel() for place in places])
        patches += weights[sequence] / norm * (noise + draw_offset(plan, participant, 0, int(sequence)))
    white = stream(plan.spec.seed, "patch", participant).standard_normal(patches.shape)
    return np.asarray(patches + model.nugget**0.5 * white)


def answers(plan: Plan, outcomes: Sequence[tuple[DoubleArray, DoubleArray]]) -> dict[str, Any]:
    """The answers to a phantom as a document.

    Args:
        plan: The plan, with the masks of what is missing.
        outcomes: Ideal probits and expression g of each participant's biopsies.
    """
    spec = plan.spec
    probits, g = (np.concatenate(parts) for parts in zip(*outcomes, strict=True))
    return {
        "spec": asdict(spec),
        "model": asdict(spec.model),
        "W": SIGNALS[spec.signal],
        "weights": dict(zip(SEQUENCES, spec.weights, strict=True)),
        "spacing_mm": spec.spacing,
        "threshold_tpm": TPM_CUT,
        "missing_files": int((~plan.present).sum()),
        "positives": int((g > 0).sum()),
        **(null_ceiling() if spec.signal == "none" else ceiling(plan)),
        "auc_realised": observed_auc(probits, g),
    }


def null_ceiling() -> dict[str, Any]:
    """The ceiling where labels have nothing to do with the images."""
    return {"rho": 0.0, "auc_bayes": 0.5, "auc_bayes_within": 0.5, "accuracy_bayes": 0.5}


def ceiling(plan: Plan) -> dict[str, Any]:
    """The best that can be expected, over cohorts with these masks and numbers of biopsies.

    Exact for one slice of radius 8 without anatomy, scanner and fading, an upper bound with them. Larger
    patches hold a little more: `auc_complete_by_radius` is the ceiling by radius if no sequence is missing.
    """
    model = plan.spec.model
    readers = [_reader(plan.strength(index), model) for index in range(len(plan.participants))]
    rhos = [reader.rho for reader, count in zip(readers, plan.counts, strict=True) for _ in range(count)]
    auc, W = pooled_auc(rhos), SIGNALS[plan.spec.signal]
    return {
        "rho": round(rho_from_auc(auc), _DIGITS),
        "auc_bayes": round(auc, _DIGITS),
        "auc_bayes_within": _within(readers, plan),
        "accuracy_bayes": round(float(np.mean([accuracy_from_rho(rho) for rho in rhos])), _DIGITS),
        "auc_complete_by_radius": {
            str(radius): round(_reader(W, replace(model, radius=radius)).auc, _DIGITS) for radius in _RADII
        },
    }


def _within(readers: Sequence[Reader], plan: Plan) -> float | None:
    """`auc_within` over the pairs of biopsies that participants have; None where nobody has two."""
    pairs = plan.counts * (plan.counts - 1)
    if not pairs.any():
        return None
    return round(float(np.average([reader.auc_within for reader in readers], weights=pairs)), _DIGITS)
