import numpy as np
import pytest

from data_prep.gauges import gauge_of, varies
from data_prep.histogram_matching import landmarks
from data_prep.intensity import METHODS, Scale
from data_prep.moments import Moments
from data_prep.percentiles import robust
from data_prep.white_matter import white_matter

VALUES = np.random.default_rng(0).gamma(3.0, 10.0, 4000).astype(np.float32)


@pytest.mark.parametrize(
    ("method", "measure"), [("robust", robust), ("white-matter", white_matter), ("nyul", landmarks)]
)
def test_parts_add_up_to_the_whole(method, measure):
    gauge = gauge_of(method)
    for part in np.split(VALUES, [0, 7, 900]):
        gauge.add(part)
    expected = measure(VALUES.copy())
    assert gauge.scale() == expected
    assert gauge.scale() == expected


def test_a_z_score_is_bit_for_bit_that_of_the_moments():
    gauge, moments = gauge_of("zscore"), Moments()
    for part in np.split(VALUES, [0, 7, 900]):
        gauge.add(part)
        moments.add(part)
    assert gauge.scale() == Scale(moments.mean, moments.std)


@pytest.mark.parametrize("method", sorted(set(METHODS) - {"none"}))
def test_without_values_or_with_equal_ones_nothing_varies(method):
    for values in (np.zeros(0, np.float32), np.full(9, 4.0, np.float32)):
        gauge = gauge_of(method)
        gauge.add(values)
        assert not varies(gauge.scale())


@pytest.mark.parametrize("method", ["robust", "white-matter"])
def test_mostly_equal_values_vary_by_their_standard_deviation(method):
    values = np.where(np.arange(100) < 90, 0.0, 1.0).astype(np.float32)
    gauge = gauge_of(method)
    gauge.add(values)
    assert (gauge.scale().location, gauge.scale().spread) == pytest.approx((0.1, 0.3))


def test_a_spread_that_single_precision_cannot_hold_is_none():
    assert varies(Scale(0.0, 1e-40))
    assert not varies(Scale(0.0, 1e-60))
