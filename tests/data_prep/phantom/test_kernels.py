from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.phantom.answers import ideal_reader, patch_covariance, site_covariance
from data_prep.phantom.kernels import interval_correlation, patch_axes, patch_correlation
from data_prep.phantom.spec import FieldModel

MODEL = FieldModel()
THICK = replace(MODEL, voxel=(0.5, 0.5, 5.0))
edges = st.sampled_from([0.0, 0.5, 1.0, 3.0, 8.0])


def quadrature(edge: float, count: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of the mean over an interval around 0."""
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return nodes * edge / 2, weights / 2


@given(distance=st.floats(-20, 20), one=edges, other=edges, length=st.floats(1.0, 8.0))
def test_the_mean_over_two_intervals_is_that_of_a_quadrature(
    distance: float, one: float, other: float, length: float
) -> None:
    (u, a), (v, b) = quadrature(one), quadrature(other)
    kernel = np.exp(-((distance + u[:, None] - v) ** 2) / (2 * length**2))
    found = interval_correlation(np.array(distance), length, one, other)
    assert found == pytest.approx(a @ kernel @ b, abs=1e-10)


@given(distance=st.floats(-10, 10), spread=st.floats(0.01, 9.0), edge=edges)
def test_a_displacement_is_averaged_over_its_distribution(
    distance: float, spread: float, edge: float
) -> None:
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    moved = interval_correlation(distance + np.sqrt(spread) * nodes, 6.0, edge, edge)
    found = interval_correlation(np.array(distance), 6.0, edge, edge, spread)
    assert found == pytest.approx(moved @ weights / weights.sum(), abs=1e-6)


def test_a_patch_reaches_as_far_in_mm_whatever_the_voxel() -> None:
    x, y = patch_axes(THICK)
    assert (len(x), x.min(), y.max()) == (33, -8.0, 8.0)
    x, _ = patch_axes(replace(MODEL, voxel=(3.0, 2.0, 1.0)))
    np.testing.assert_allclose(x, [-6, -3, 0, 3, 6])


def test_the_covariances_of_points_are_those_of_the_model() -> None:
    """By the formulas of the module, point by point; the site's error is normal along three axes."""
    model, W = replace(MODEL, radius=2), 0.4
    points = [(x, y) for x in range(-2, 3) for y in range(-2, 3)]
    squared = np.array([[(a - c) ** 2 + (b - d) ** 2 for c, d in points] for a, b in points])
    field, noise = (np.exp(-squared / (2 * length**2)) for length in (model.length, model.noise_length))
    expected = W * (model.tau2 + (1 - model.tau2) * field) + noise + model.nugget * np.eye(25)
    np.testing.assert_allclose(patch_covariance(W, model), expected + model.offset_variance, rtol=1e-12)
    wide = model.length**2 + model.site_sd**2
    to_site = (model.length**2 / wide) ** 1.5 * np.exp(-squared[12] / (2 * wide))
    expected = np.sqrt(W) * (model.tau2 + (1 - model.tau2) * to_site)
    np.testing.assert_allclose(site_covariance(W, model), expected, rtol=1e-12)


def test_small_boxes_are_points() -> None:
    distance = np.arange(-3.0, 4)
    small = interval_correlation(distance, MODEL.length, 0.01, 0.01)
    np.testing.assert_allclose(small, interval_correlation(distance, MODEL.length), atol=1e-5)
    boxes, points = replace(MODEL, voxel=(1.0, 1.0, 1.0)), MODEL
    assert 0 < (site_covariance(0.4, points) - site_covariance(0.4, boxes)).max() < 0.005
    assert 0.05 < (patch_covariance(0.4, points) - patch_covariance(0.4, boxes)).max() < 0.15


def test_covariances_of_boxes_are_those_of_means_over_points() -> None:
    """Each box as a mean over a grid of its own, summed by brute force."""
    model = replace(MODEL, voxel=(2.0, 2.0, 4.0), radius=2)
    side = quadrature(2.0, 6), quadrature(2.0, 6), quadrature(4.0, 8)
    inside = np.stack(np.meshgrid(*(nodes for nodes, _ in side), indexing="ij"), axis=-1).reshape(-1, 3)
    weights = np.einsum("i,j,k->ijk", *(weights for _, weights in side)).ravel()
    middles = [np.array([x, y, 0.0]) for x in (-2, 0, 2) for y in (-2, 0, 2)]
    for length in (MODEL.length, MODEL.noise_length):
        found = patch_correlation(model, length)
        for column in (0, 4, 5):
            apart = middles[column] - middles[0] + inside[:, None] - inside
            expected = weights @ np.exp(-(apart**2).sum(axis=-1) / (2 * length**2)) @ weights
            assert found[0, column] == pytest.approx(expected, abs=1e-6)


def test_thick_slices_average_the_noise_away_and_lose_some_of_the_field() -> None:
    assert ideal_reader(0.4, THICK).auc == pytest.approx(0.761, abs=0.001)
    assert patch_correlation(THICK, MODEL.noise_length)[0, 0] < 0.65
    thin = replace(THICK, voxel=(0.5, 0.5, 0.5))
    assert ideal_reader(0.4, thin).auc == pytest.approx(ideal_reader(0.4, MODEL).auc, abs=0.002)
