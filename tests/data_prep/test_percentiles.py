import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.preprocessing import RobustScaler

from data_prep.percentiles import robust

SEEDS = st.integers(0, 2**32 - 1)


@given(SEEDS, st.integers(2, 500))
def test_the_scale_is_that_of_scikit_learn(seed, count):
    values = np.random.default_rng(seed).gamma(2.0, 100.0, count).astype(np.float32)
    theirs = RobustScaler(unit_variance=True).fit(values[:, None].astype(np.float64))
    found = robust(values.copy())
    assert found.location == pytest.approx(theirs.center_[0], rel=1e-6)
    assert found.spread == pytest.approx(theirs.scale_[0], rel=1e-5)


def test_units_of_a_normal_distribution_are_its_standard_deviations():
    found = robust(np.random.default_rng(0).normal(70.0, 9.0, 400_000))
    assert (found.location, found.spread) == pytest.approx((70.0, 9.0), rel=0.01)


@given(SEEDS, st.floats(1e-3, 1e3), st.floats(-1e3, 1e3))
def test_gain_and_offset_of_a_scanner_go(seed, gain, offset):
    values = np.random.default_rng(seed).gamma(2.0, 1.0, 300)
    before, after = robust(values.copy()), robust(gain * values + offset)
    one, other = (values - before.location) / before.spread, (gain * values + offset - after.location)
    assert other / after.spread == pytest.approx(one, abs=1e-6)


@given(st.floats(-1e6, 1e6), st.integers(0, 2**31))
def test_a_lesion_of_less_than_a_quarter_moves_the_scale_no_further_than_its_rank(value, seed):
    brain = np.random.default_rng(seed).normal(size=1000)
    lesioned = np.where(np.arange(1000) < 200, value, brain)
    found, spared = robust(lesioned.copy()), brain[200:]
    # Whatever the lesion looks like, quartiles stay between these of what is spared.
    bounds = np.percentile(spared, [100 * 5 / 80, 100 * 75 / 80])
    assert bounds[0] - 0.1 <= found.location <= bounds[1] + 0.1
    assert found.spread <= np.ptp(bounds) / 1.3 + 0.1


@pytest.mark.parametrize("values", [[], [3.0], [1.0, 1.0], [0.0, 0.0, 0.0, 0.0, 9.0]])
def test_where_half_of_the_values_are_equal_there_is_no_spread(values):
    assert robust(np.array(values, dtype=np.float32)).spread == 0.0
