from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from sklearn.metrics import roc_auc_score

from data_prep.phantom.answers import (
    accuracy_from_rho,
    auc_from_rho,
    ideal_reader,
    observed_auc,
    patch_offsets,
    pooled_auc,
    rho_from_auc,
)
from data_prep.phantom.spec import FieldModel, PhantomSpec
from data_prep.phantom.weights import signal_weights

MODEL = FieldModel()
TABLE = [
    (0.1, 0.680, 0.655, 0.704),
    (0.2, 0.736, 0.703, 0.745),
    (0.4, 0.795, 0.753, 0.779),
    (0.8, 0.848, 0.797, 0.803),
]


@pytest.mark.parametrize(("W", "exact", "blurred", "within"), TABLE)
def test_the_published_table_is_met(W: float, exact: float, blurred: float, within: float) -> None:
    reader = ideal_reader(W, MODEL)
    assert ideal_reader(W, replace(MODEL, site_sd=0.0)).auc == pytest.approx(exact, abs=0.002)
    assert reader.auc == pytest.approx(blurred, abs=0.002)
    assert reader.auc_within == pytest.approx(within, abs=0.002)


@pytest.mark.parametrize(("rate", "published"), [(0.0, 0.753), (0.1, 0.744), (0.2, 0.734), (0.35, 0.717)])
def test_missing_sequences_cost_what_was_published(rate: float, published: float) -> None:
    squares = np.square(signal_weights(PhantomSpec())[:5, 0])
    present = np.random.default_rng(0).random((4000, 5)) >= rate
    present = present[present.any(axis=1)]
    subsets = [np.isin(np.arange(5), kept) for size in range(1, 6) for kept in combinations(range(5), size)]
    rhos = {kept.tobytes(): ideal_reader(squares @ kept, MODEL).rho for kept in subsets}
    assert pooled_auc([rhos[row.tobytes()] for row in present]) == pytest.approx(published, abs=0.003)


@pytest.mark.parametrize(
    ("rho", "auc"), [(0.22, 0.60), (0.33, 0.65), (0.44, 0.70), (0.64, 0.80), (0.74, 0.85)]
)
def test_the_ruler(rho: float, auc: float) -> None:
    assert auc_from_rho(rho) == pytest.approx(auc, abs=0.004)
    assert rho_from_auc(auc_from_rho(rho)) == pytest.approx(rho)


@given(rho=st.floats(0.05, 0.95))
def test_the_ruler_is_what_simulated_scores_reach(rho: float) -> None:
    rng = np.random.default_rng(0)
    score, rest = rng.standard_normal((2, 20000))
    hidden = rho * score + np.sqrt(1 - rho**2) * rest
    assert auc_from_rho(rho) == pytest.approx(roc_auc_score(hidden > 0, score), abs=0.015)
    assert accuracy_from_rho(rho) == pytest.approx(((hidden > 0) == (score > 0)).mean(), abs=0.015)


@given(rho=st.floats(0.05, 0.95), count=st.integers(1, 5))
def test_pooling_equal_biopsies_changes_nothing(rho: float, count: int) -> None:
    assert pooled_auc([rho] * count) == pytest.approx(auc_from_rho(rho), abs=1e-5)


@given(rhos=st.lists(st.floats(0.1, 0.9), min_size=1, max_size=4))
def test_pooling_is_the_mean_over_pairs_in_closed_form(rhos: list[float]) -> None:
    """`m_i > m_j`, `m_i + e_i > 0` and `m_j + e_j < 0` at once: an orthant of three normal variables."""
    rho = np.array(rhos)
    spread = rho / np.sqrt(1 - rho**2)
    difference = np.hypot(spread[:, None], spread)
    one, other = rho[:, None] * spread[:, None] / difference, rho * spread / difference
    concordant = 1 / 8 + (np.arcsin(one) + np.arcsin(other)) / (4 * np.pi)
    assert pooled_auc(rhos) == pytest.approx(4 * concordant.mean(), abs=1e-5)


def test_pooling_unequal_biopsies_is_what_simulated_posteriors_reach() -> None:
    rng = np.random.default_rng(0)
    rho = np.repeat([0.2, 0.5, 0.8], 40000)
    score, rest = rng.standard_normal((2, len(rho)))
    label = rho * score + np.sqrt(1 - rho**2) * rest > 0
    posterior = rho * score / np.sqrt(1 - rho**2)
    assert pooled_auc(rho) == pytest.approx(roc_auc_score(label, posterior), abs=0.006)


def simulate(W: float, model: FieldModel, biopsies: int) -> tuple[np.ndarray, np.ndarray]:
    """Patches y and expression g drawn jointly, the true site at its own place for every biopsy."""
    rng = np.random.default_rng(0)
    voxels = np.pad(patch_offsets(model.radius), ((0, 0), (0, 1)))
    sites = model.site_sd * rng.standard_normal((biopsies, 3))
    own = 1 - model.tau2
    y, g = np.empty((biopsies, len(voxels))), np.empty(biopsies)
    apart = cdist(voxels, voxels, "sqeuclidean")
    for row, site in enumerate(sites):
        far = cdist(voxels, site[None], "sqeuclidean")
        joint = np.exp(-np.block([[apart, far], [far.T, np.zeros((1, 1))]]) / (2 * model.length**2))
        z = np.linalg.cholesky(model.tau2 + own * joint + 1e-6 * np.eye(len(joint))) @ rng.standard_normal(
            len(joint)
        )
        y[row], g[row] = np.sqrt(W) * z[:-1], np.sqrt(model.kappa2) * z[-1]
    eta = np.linalg.cholesky(
        np.exp(-apart / (2 * model.noise_length**2)) + model.nugget * np.eye(len(voxels))
    )
    y += rng.standard_normal(y.shape) @ eta.T
    y += np.sqrt(model.offset_variance) * rng.standard_normal((biopsies, 1))
    return y, g + np.sqrt(1 - model.kappa2) * rng.standard_normal(biopsies)


@pytest.mark.parametrize("W", [0.4, 0.8])
def test_simulated_patches_agree_with_the_closed_form(W: float) -> None:
    model = replace(MODEL, radius=3)
    reader = ideal_reader(W, model)
    y, g = simulate(W, model, 6000)
    assert np.corrcoef(y @ reader.score, g)[0, 1] == pytest.approx(reader.rho, abs=0.03)
    assert roc_auc_score(g > 0, y @ reader.score) == pytest.approx(reader.auc, abs=0.02)


def test_more_signal_larger_patches_and_better_targeting_never_hurt() -> None:
    aucs = [ideal_reader(W, MODEL).auc for W in (0.05, 0.1, 0.4, 0.8)]
    aucs_by_radius = [ideal_reader(0.4, replace(MODEL, radius=radius)).auc for radius in (0, 2, 5, 8)]
    aucs_by_error = [ideal_reader(0.4, replace(MODEL, site_sd=sd)).auc for sd in (5.0, 2.5, 1.0, 0.0)]
    for series in (aucs, aucs_by_radius, aucs_by_error):
        assert series == sorted(series)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=30))
def test_observed_auc_is_that_of_scikit_learn(pairs: list[tuple[int, bool]]) -> None:
    score, label = (np.array(column, float) for column in zip(*pairs, strict=True))
    expected = roc_auc_score(label, score) if 0 < label.sum() < len(label) else None
    assert observed_auc(score, label) == (None if expected is None else pytest.approx(expected))
