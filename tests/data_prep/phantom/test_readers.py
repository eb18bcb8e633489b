from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import ndtr
from sklearn.metrics import roc_auc_score

from data_prep.phantom.answers import ideal_reader
from data_prep.phantom.ceilings import ceiling
from data_prep.phantom.hidden import draw_hidden
from data_prep.phantom.plan import Plan, make_plan
from data_prep.phantom.readers import ideal_probits
from data_prep.phantom.sites import Sites
from data_prep.phantom.spec import KINDS, PhantomSpec


def read(plan: Plan, each: int) -> tuple[np.ndarray, np.ndarray]:
    """Ideal probits and planted fields at random sites, `each` of every participant."""
    rng = np.random.default_rng(0)
    probits: list[float] = []
    driver: list[float] = []
    for index in range(len(plan.participants)):
        hidden = draw_hidden(plan, index)
        true = rng.uniform(6, 17, size=(each, 3))
        sites = Sites(true, true + plan.spec.model.site_sd * rng.standard_normal(true.shape))
        probits.extend(ideal_probits(plan, hidden, sites, index))
        driver.extend(hidden.at(*site[:, None]).item() for site in true)
    return np.array(probits), np.array(driver)


def test_ideal_probits_correlate_with_the_planted_field_as_computed() -> None:
    spec = PhantomSpec(participants=150, biopsies=300, size=24, missing=0.0, signal="easy")
    probits, fields = read(make_plan(spec), 2)
    rho = ideal_reader(0.8, spec.model).rho
    assert np.corrcoef(probits, fields)[0, 1] == pytest.approx(rho / np.sqrt(spec.model.kappa2), abs=0.12)
    assert np.std(probits) == pytest.approx(rho / np.sqrt(1 - rho**2), rel=0.2)


QUICK: dict[str, dict[str, Any]] = {
    **{kind: {"kind": kind} for kind in KINDS},
    "thick slices": {"voxel": (1.0, 1.0, 5.0)},
    "displaced": {"registration_error": 1.5},
    "confounded": {"confounding": 1.0},
}
SLOW: dict[str, dict[str, Any]] = {
    "grids of their own": {"grids": "mixed", "missing": 0.0},
    "thick slices of a texture": {"voxel": (1.0, 1.0, 4.0), "kind": "texture"},
    "large voxels of an interaction": {"voxel": (3.0, 3.0, 3.0), "kind": "interaction"},
    "exact sites": {"site_error": 0.0},
    "no diffusion on a scanner": {"missing_by": "scanner"},
}


@pytest.mark.parametrize(
    "options",
    [
        *(pytest.param(options, id=name) for name, options in QUICK.items()),
        *(pytest.param(options, id=name, marks=pytest.mark.slow) for name, options in SLOW.items()),
    ],
)
def test_ideal_probits_reach_the_ceiling_and_are_calibrated(options: dict[str, Any]) -> None:
    made: dict[str, Any] = {"missing": 0.3, "signal": "easy", **options}
    spec = PhantomSpec(participants=250, biopsies=250, size=24, **made)
    plan = make_plan(spec)
    probits, driver = read(plan, 3)
    kappa2, shift = spec.model.kappa2, np.repeat([plan.shift(index) for index in range(250)], 3)
    # Each biopsy counts as both labels, by chance.
    positive = ndtr((np.sqrt(kappa2) * driver + shift) / np.sqrt(1 - kappa2))
    labels, weights = np.repeat([1, 0], len(driver)), np.concatenate([positive, 1 - positive])
    auc = roc_auc_score(labels, np.tile(probits, 2), sample_weight=weights)
    assert auc == pytest.approx(ceiling(plan)["auc_bayes"], abs=0.04)
    for sure in (probits > 0.5, probits < -0.5):
        assert positive[sure].mean() == pytest.approx(ndtr(probits[sure]).mean(), abs=0.07)
