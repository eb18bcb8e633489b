import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from models.calibration import LEAST_SLOPE, Calibration, platt
from models.curves import probability

few = settings(max_examples=25, deadline=None)


def drawn(seed, slope, intercept=0.0, n=4000):
    """Margins, and labels whose chance is the sigmoid of a line in them."""
    random = np.random.default_rng(seed)
    margin = random.normal(size=n)
    return margin, (random.random(n) < probability(slope * margin + intercept)).astype(np.int64)


def test_the_line_that_labels_were_drawn_from_is_found():
    found = platt(*drawn(0, slope=2.0, intercept=-0.7))
    assert found.slope == pytest.approx(2.0, abs=0.2)
    assert found.intercept == pytest.approx(-0.7, abs=0.15)


@few
@given(st.integers(0, 2**16), st.floats(1e-6, 1e6))
def test_the_unit_of_the_margin_does_not_matter(seed, unit):
    margin, label = drawn(seed, slope=1.0, n=60)
    np.testing.assert_allclose(platt(unit * margin, label)(unit * margin), platt(margin, label)(margin), 1e-6)


def test_the_likelihood_is_the_greatest_that_another_optimiser_finds():
    margin, label = drawn(1, slope=1.5, n=40)
    target = np.where(label == 1, (label.sum() + 1) / (label.sum() + 2), 1 / (40 - label.sum() + 2))

    def loss(line):
        p = probability(line[0] * margin + line[1])
        return -np.mean(target * np.log(p) + (1 - target) * np.log(1 - p))

    slope, intercept = minimize(loss, [1.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-8}).x
    found = platt(margin, label)
    assert (found.slope, found.intercept) == pytest.approx((slope, intercept), abs=1e-3)


@few
@given(st.integers(0, 2**16))
def test_the_order_of_margins_is_kept_even_where_they_rank_the_wrong_way_round(seed):
    margin, label = drawn(seed, slope=-3.0, n=80)
    found = platt(margin, label)
    assert found.slope == pytest.approx(LEAST_SLOPE / margin.std())
    assert (np.diff(found(np.sort(margin))) > 0).all()
    np.testing.assert_allclose(found(margin), label.mean(), atol=0.03)


def test_margins_that_separate_the_labels_do_not_lead_to_certainty():
    margin = np.repeat([-1.0, 1.0], 9)
    chance = platt(margin, (margin > 0).astype(np.int64))(margin)
    np.testing.assert_allclose(chance, np.where(margin > 0, 10 / 11, 1 / 11), atol=1e-4)


def test_margins_that_are_all_the_same_give_the_mean_target():
    label = np.array([1, 1, 1, 0])
    assert platt(np.zeros(4), label)(np.zeros(1)) == pytest.approx((3 * 4 / 5 + 1 / 3) / 4, abs=1e-4)


def test_margins_that_differ_by_rounding_alone_count_as_all_the_same():
    label = np.tile([1, 1, 1, 0], 15)
    found = platt(np.full(60, 0.7), label)(np.array([0.7]))
    assert found == pytest.approx((45 * 46 / 47 + 15 / 17) / 60, abs=1e-3)


def test_a_calibration_is_the_sigmoid_of_a_line():
    assert Calibration(2.0, -1.0)(np.array([0.5])) == pytest.approx(0.5)
