import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.moments import Moments


def moments_of(*parts: np.ndarray) -> Moments:
    moments = Moments()
    for part in parts:
        moments.add(part)
    return moments


@given(st.integers(0, 2**32 - 1), st.floats(-1e4, 1e4), st.floats(0.01, 100), st.lists(st.integers(0, 300)))
def test_moments_equal_those_of_numpy_however_the_values_are_parted(seed, mean, std, cuts):
    values = np.random.default_rng(seed).normal(mean, std, 300).astype(np.float32)
    found = moments_of(*np.split(values, sorted(cuts)))
    exact = values.astype(np.float64)
    assert found.mean == pytest.approx(exact.mean(), rel=1e-12, abs=1e-9)
    assert found.std == pytest.approx(exact.std(), rel=1e-9)


def test_long_parts_are_taken_in_pieces(monkeypatch):
    values = np.random.default_rng(0).normal(5, 2, 1000).astype(np.float32)
    whole = moments_of(values)
    monkeypatch.setattr("data_prep.moments._PIECE", 7)
    assert moments_of(values).mean == pytest.approx(whole.mean, rel=1e-14)
    assert moments_of(values).std == pytest.approx(whole.std, rel=1e-12)


def test_a_large_offset_does_not_drown_a_small_spread():
    values = 1e9 + np.tile([0.0, 1.0, 2.0, 3.0], 50000)
    assert moments_of(*np.split(values, 8)).std == pytest.approx(np.sqrt(1.25), rel=1e-12)


def test_an_outlier_that_comes_first_does_no_harm():
    values = np.concatenate([[1e6], np.random.default_rng(0).normal(0, 1e-3, 99999)])
    found = moments_of(*np.split(values, 10))
    assert found.mean == pytest.approx(values.mean(), abs=1e-12 * values.std())
    assert found.std == pytest.approx(values.std(), rel=1e-12)


@pytest.mark.parametrize("value", [0.0, 0.1, -7.3, 3e38])
def test_a_constant_has_exactly_itself_and_no_spread(value):
    part = np.full(1001, value, np.float32)
    found = moments_of(part, part[:10], part)
    assert (found.mean, found.std) == (np.float32(value), 0.0)


def test_nothing_has_mean_and_spread_zero():
    found = moments_of(np.zeros(0))
    assert (found.mean, found.std) == (0.0, 0.0)
