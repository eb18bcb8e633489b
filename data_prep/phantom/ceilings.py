"""The best that can be expected on a phantom, over cohorts with its masks and numbers of biopsies.

For one slice of radius 8 mm without anatomy, scanner and fading, which only make it harder; docs/phantom.md
has the model of every option. The gaussian kind is exact, the texture within .003 of simulation. For the
interaction both fields are taken for uncertain independently, but they are read at the same wrong place: the
simulated exact posterior reaches .004 (hard) to .007 (easy) more. Larger patches hold a little more:
`auc_complete_by_radius` is the ceiling by radius in mm if no sequence is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from data_prep.phantom.answers import Reader, accuracy_from_rho, pooled_auc, rho_from_auc
from data_prep.phantom.confounding import (
    scanner_accuracy,
    scanner_auc,
    shifted_accuracy,
    shifted_auc,
    shifted_within_auc,
    within_scanner_auc,
)
from data_prep.phantom.interaction import odds, planted_odds, planted_strength, product_reader
from data_prep.phantom.plan import Plan
from data_prep.phantom.spec import SEQUENCES, FieldModel
from data_prep.phantom.texture import AMPLITUDE, LEVEL_SDS, patch_sd_rho, texture_reader
from data_prep.phantom.views import readers
from data_prep.phantom.weights import STRENGTHS

_RADII: Final = (2, 4, 8, 16)
_MOST_VOXELS: Final = 1200  # of a patch; those of larger ones take minutes
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
        return {"q": planted_odds(spec), "W": planted_strength(spec), **shown}
    return {"W": STRENGTHS[spec.signal], **shown}


def ceiling(plan: Plan) -> dict[str, Any]:
    """The ceiling of a phantom as a document; `rho` is that of a normal score with this AUC."""
    if plan.spec.signal == "none":
        return null_ceiling(plan)
    return _CEILINGS[plan.spec.kind](plan)


def null_ceiling(plan: Plan) -> dict[str, Any]:
    """The ceiling where labels have nothing to do with the images, but with the scanner if confounded."""
    found = {"rho": 0.0, "auc_bayes": 0.5, "auc_bayes_within": 0.5, "accuracy_bayes": 0.5}
    if not plan.spec.confounding:
        return found
    shifts = _shifts(plan)
    auc = _rounded(scanner_auc(shifts))
    found |= {"auc_bayes": auc, "accuracy_bayes": _rounded(scanner_accuracy(shifts))}
    return found | {"auc_within_scanner": 0.5, "auc_scanner_alone": auc}


def _gaussian(plan: Plan) -> dict[str, Any]:
    """Of displaced sequences also the ceiling of who undoes the displacements."""
    spec = plan.spec
    found = _gaussian_pooled(plan, spec.model)
    if spec.confounding:
        found |= _confounded(plan, spec.model)
    if spec.registration_error:
        exact = replace(spec.model, registration_sd=0.0)
        found["auc_registered"] = (_confounded if spec.confounding else _gaussian_pooled)(plan, exact)[
            "auc_bayes"
        ]
    return found


def _gaussian_pooled(plan: Plan, model: FieldModel) -> dict[str, Any]:
    weights = tuple(plan.weights[:, 0].round(12).tolist())

    def complete(wider: FieldModel) -> float:
        found = readers(plan.spec, weights, wider)
        return found[0].auc if len(found) == 1 else pooled_auc([reader.rho for reader in found])

    return _pooled(plan, _readers(plan, model), complete)


def _readers(plan: Plan, model: FieldModel) -> list[list[Reader]]:
    """The equally frequent readers of each participant."""
    people = range(len(plan.participants))
    return [readers(plan.spec, plan.seen_weights(index), model) for index in people]


def _confounded(plan: Plan, model: FieldModel) -> dict[str, Any]:
    """The AUC over all biopsies, of one half of the scanners, and of knowing that half alone."""
    found = _readers(plan, model)
    rhos = _rhos(plan, found)
    shifts = np.repeat(_shifts(plan), len(found[0])).tolist()
    auc = shifted_auc(rhos, shifts)
    one = [[_shifted(reader, plan) for reader in own] for own in found]
    return {
        "rho": _rounded(rho_from_auc(auc)),
        "auc_bayes": _rounded(auc),
        "auc_bayes_within": _within(one, plan),
        "accuracy_bayes": _rounded(shifted_accuracy(rhos, shifts)),
        "auc_within_scanner": _rounded(within_scanner_auc(rhos, shifts)),
        "auc_scanner_alone": _rounded(scanner_auc(shifts)),
    }


def _shifted(reader: Reader, plan: Plan) -> Reader:
    """The reader where expression is shifted by the scanner: pairs of one participant share the shift."""
    model = plan.spec.model
    q = model.kappa2 * model.tau2
    return replace(reader, auc_within=shifted_within_auc(reader.auc_within, q, plan.spec.confounding))


def _shifts(plan: Plan) -> list[float]:
    """What the scanner adds to the expression of each biopsy."""
    return [plan.shift(index) for index, count in enumerate(plan.counts) for _ in range(count)]


def _texture(plan: Plan) -> dict[str, Any]:
    """Also the AUC of a patch's mean, which knows no sign, and of its standard deviation without anatomy."""
    model, level_sd = plan.spec.model, LEVEL_SDS[plan.spec.signal]
    carriers = [plan.carriers(index) for index in range(len(plan.participants))]
    found = [[texture_reader(count, level_sd, model)] for count in carriers]
    complete = len(plan.spec.carriers)
    pooled = _pooled(plan, found, lambda wider: texture_reader(complete, level_sd, wider).auc)
    simple = [patch_sd_rho(count, level_sd, model) for count in carriers]
    patch_sd = _rounded(pooled_auc(np.repeat(simple, plan.counts).tolist()))
    return pooled | {"auc_patch_mean": 0.5, "auc_patch_sd": patch_sd}


def _interaction(plan: Plan) -> dict[str, Any]:
    """Nothing that carries a field is missing here; within a participant no closed form is known."""
    model, W = plan.spec.model, planted_strength(plan.spec)
    reader = product_reader(planted_odds(plan.spec), model.kappa2)

    def complete(wider: FieldModel) -> float:
        return product_reader(odds(W, wider), model.kappa2).auc

    return {
        "rho": _rounded(rho_from_auc(reader.auc)),
        "auc_bayes": _rounded(reader.auc),
        "auc_bayes_within": None,
        "accuracy_bayes": _rounded(reader.accuracy),
        "auc_complete_by_radius": _by_radius(plan, complete),
        "auc_linear": 0.5,
    }


_CEILINGS: Final[dict[str, Callable[[Plan], dict[str, Any]]]] = {
    "gaussian": _gaussian,
    "texture": _texture,
    "interaction": _interaction,
}


def _pooled(
    plan: Plan, found: Sequence[Sequence[Reader]], complete: Callable[[FieldModel], float]
) -> dict[str, Any]:
    """The ceiling over biopsies that differ in what is known of them."""
    rhos = _rhos(plan, found)
    auc = pooled_auc(rhos)
    return {
        "rho": _rounded(rho_from_auc(auc)),
        "auc_bayes": _rounded(auc),
        "auc_bayes_within": _within(found, plan),
        "accuracy_bayes": _rounded(float(np.mean([accuracy_from_rho(rho) for rho in rhos]))),
        "auc_complete_by_radius": _by_radius(plan, complete),
    }


def _by_radius(plan: Plan, complete: Callable[[FieldModel], float]) -> dict[str, float]:
    """AUC by radius, as far as a patch has not too many voxels."""
    model, most = plan.spec.model, _MOST_VOXELS
    x, y, _ = model.edges
    radii = [radius for radius in _RADII if (2 * radius / x + 1) * (2 * radius / y + 1) <= most]
    if plan.spec.several:
        radii = [radius for radius in radii if radius <= model.radius]
    return {str(radius): _rounded(complete(replace(model, radius=radius))) for radius in radii}


def _rhos(plan: Plan, found: Sequence[Sequence[Reader]]) -> list[float]:
    """The correlation that each biopsy's reader has, once for each of its equally frequent ones."""
    return [
        reader.rho
        for own, count in zip(found, plan.counts, strict=True)
        for _ in range(count)
        for reader in own
    ]


def _within(found: Sequence[Sequence[Reader]], plan: Plan) -> float | None:
    """`auc_within` over the pairs of biopsies that participants have; None where nobody has two."""
    pairs = plan.counts * (plan.counts - 1)
    if not pairs.any():
        return None
    aucs = [float(np.mean([reader.auc_within for reader in own])) for own in found]
    return _rounded(float(np.average(aucs, weights=pairs)))


def _rounded(value: float) -> float:
    return round(value, _DIGITS)
