"""The best that can be expected on a phantom, over cohorts with its masks and numbers of biopsies.

For one slice of radius 8 without anatomy, scanner and fading, which only make it harder. The gaussian kind
is exact, the texture within .003 of simulation. For the interaction both fields are taken for uncertain
independently, but they are read at the same wrong place: the simulated exact posterior reaches .004 (hard) to
.007 (easy) more. Larger patches hold a little more: `auc_complete_by_radius` is the ceiling by radius if no
sequence is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from data_prep.phantom.answers import Reader, accuracy_from_rho, pooled_auc, rho_from_auc
from data_prep.phantom.interaction import ODDS, field_strength, odds, product_reader
from data_prep.phantom.plan import Plan
from data_prep.phantom.readers import gaussian_reader
from data_prep.phantom.spec import SEQUENCES, FieldModel
from data_prep.phantom.texture import AMPLITUDE, LEVEL_SDS, patch_sd_rho, texture_reader
from data_prep.phantom.weights import STRENGTHS

_RADII: Final = (2, 4, 8, 16)
_DIGITS: Final = 9  # what every processor agrees on


def planted(plan: Plan) -> dict[str, Any]:
    """What the images show of the fields, and how strongly, as a document."""
    spec = plan.spec
    if spec.kind == "texture":
        carriers = [SEQUENCES[index] for index in spec.carriers]
        return {"amplitude": AMPLITUDE, "level_sd": LEVEL_SDS[spec.signal], "carriers": carriers}
    weights = plan.weights.sum(axis=1).tolist()  # no sequence shows more than one field
    shown = {"weights": dict(zip(SEQUENCES, weights, strict=True))}
    if spec.kind == "interaction":
        q = ODDS[spec.signal]
        return {"q": q, "W": field_strength(q, spec.model), **shown}
    return {"W": STRENGTHS[spec.signal], **shown}


def null_ceiling() -> dict[str, Any]:
    """The ceiling where labels have nothing to do with the images."""
    return {"rho": 0.0, "auc_bayes": 0.5, "auc_bayes_within": 0.5, "accuracy_bayes": 0.5}


def ceiling(plan: Plan) -> dict[str, Any]:
    """The ceiling of a phantom as a document; `rho` is that of a normal score with this AUC."""
    return _CEILINGS[plan.spec.kind](plan)


def _gaussian(plan: Plan) -> dict[str, Any]:
    model, W = plan.spec.model, STRENGTHS[plan.spec.signal]
    readers = [gaussian_reader(plan.strength(index), model) for index in range(len(plan.participants))]
    return _pooled(plan, readers, lambda wider: gaussian_reader(W, wider).auc)


def _texture(plan: Plan) -> dict[str, Any]:
    """Also the AUC of a patch's mean, which knows no sign, and of its standard deviation without anatomy."""
    model, level_sd = plan.spec.model, LEVEL_SDS[plan.spec.signal]
    carriers = [plan.carriers(index) for index in range(len(plan.participants))]
    readers = [texture_reader(count, level_sd, model) for count in carriers]
    complete = len(plan.spec.carriers)
    found = _pooled(plan, readers, lambda wider: texture_reader(complete, level_sd, wider).auc)
    simple = [patch_sd_rho(count, level_sd, model) for count in carriers]
    patch_sd = round(pooled_auc(np.repeat(simple, plan.counts).tolist()), _DIGITS)
    return found | {"auc_patch_mean": 0.5, "auc_patch_sd": patch_sd}


def _interaction(plan: Plan) -> dict[str, Any]:
    """Nothing that carries a field is missing here; within a participant no closed form is known."""
    model, q = plan.spec.model, ODDS[plan.spec.signal]
    W, reader = field_strength(q, model), product_reader(q, model.kappa2)
    by_radius = {
        radius: product_reader(odds(W, replace(model, radius=radius)), model.kappa2).auc for radius in _RADII
    }
    return {
        "rho": round(rho_from_auc(reader.auc), _DIGITS),
        "auc_bayes": round(reader.auc, _DIGITS),
        "auc_bayes_within": None,
        "accuracy_bayes": round(reader.accuracy, _DIGITS),
        "auc_complete_by_radius": {str(radius): round(auc, _DIGITS) for radius, auc in by_radius.items()},
        "auc_linear": 0.5,
    }


_CEILINGS: Final[dict[str, Callable[[Plan], dict[str, Any]]]] = {
    "gaussian": _gaussian,
    "texture": _texture,
    "interaction": _interaction,
}


def _pooled(plan: Plan, readers: Sequence[Reader], complete: Callable[[FieldModel], float]) -> dict[str, Any]:
    """The ceiling over biopsies that differ in what is known of them."""
    model = plan.spec.model
    rhos = [reader.rho for reader, count in zip(readers, plan.counts, strict=True) for _ in range(count)]
    auc = pooled_auc(rhos)
    return {
        "rho": round(rho_from_auc(auc), _DIGITS),
        "auc_bayes": round(auc, _DIGITS),
        "auc_bayes_within": _within(readers, plan),
        "accuracy_bayes": round(float(np.mean([accuracy_from_rho(rho) for rho in rhos])), _DIGITS),
        "auc_complete_by_radius": {
            str(radius): round(complete(replace(model, radius=radius)), _DIGITS) for radius in _RADII
        },
    }


def _within(readers: Sequence[Reader], plan: Plan) -> float | None:
    """`auc_within` over the pairs of biopsies that participants have; None where nobody has two."""
    pairs = plan.counts * (plan.counts - 1)
    if not pairs.any():
        return None
    return round(float(np.average([reader.auc_within for reader in readers], weights=pairs)), _DIGITS)
