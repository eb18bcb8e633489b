from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.phantom.fields import draw_field


def sample(length: float, points: list[float], fields: int = 1500) -> np.ndarray:
    """Values of many fields at points on the x axis, shape (fields, points)."""
    rng = np.random.default_rng(0)
    return np.array([draw_field(16, length, rng).at(points, [3.0], [4.0]).ravel() for _ in range(fields)])


@pytest.mark.parametrize("length", [2.0, 6.0])
def test_covariance_follows_the_formula(length: float) -> None:
    distances = [0.0, 1.0, 2.5, 6.0, 15.0]
    values = sample(length, distances)
    empirical = (values[:, :1] * values).mean(axis=0)
    np.testing.assert_allclose(empirical, np.exp(-(np.array(distances) ** 2) / (2 * length**2)), atol=0.11)


def test_covariance_depends_on_the_distance_in_all_directions() -> None:
    rng = np.random.default_rng(1)
    blocks = np.array([draw_field(16, 3.0, rng).at([0, 2], [5, 7], [9, 10]) for _ in range(1500)])
    empirical = (blocks[:, 0, 0, 0] * blocks[:, 1, 1, 1]).mean()
    assert empirical == pytest.approx(np.exp(-9 / 18), abs=0.11)


def test_variance_is_one_everywhere() -> None:
    values = sample(1.5, [0.0, 0.5, 7.25, 15.9])
    np.testing.assert_allclose(values.var(axis=0), 1, atol=0.15)
    np.testing.assert_allclose(values.mean(axis=0), 0, atol=0.1)


@settings(max_examples=20)
@given(shift=st.floats(-0.9, 0.9))
def test_a_point_does_not_depend_on_the_grid_it_is_read_on(shift: float) -> None:
    field = draw_field(12, 2.0, np.random.default_rng(2))
    axis = np.arange(12.0)
    grid = field.at(axis + shift, axis, axis - shift)
    assert grid.shape == (12, 12, 12)
    assert field.at([4 + shift], [5], [6 - shift]).item() == pytest.approx(grid[4, 5, 6], abs=1e-4)


def test_the_mean_over_a_box_is_that_of_many_points() -> None:
    field = draw_field(24, 1.5, np.random.default_rng(0))
    fine = (np.arange(40) + 0.5) / 40 - 0.5
    x, y, z = 7.3 + 2 * fine, 11.0 + 1 * fine, 5.2 + 5 * fine
    (mean,) = field.at([7.3], [11.0], [5.2], box=(2.0, 1.0, 5.0)).ravel()
    assert mean == pytest.approx(field.at(x, y, z).mean(), abs=1e-3)
