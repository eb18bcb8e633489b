import numpy as np
import pytest
from scipy import stats

from data_prep.features.first_order import first_order
from data_prep.features.levels import grey_levels

VALUES = np.random.default_rng(0).gamma(2.0, size=(20, 49)) - 2


def test_statistics_equal_those_of_scipy():
    found = first_order(VALUES)
    shares = [np.bincount(row) / 49 for row in grey_levels(VALUES)]
    expected = {
        "mean": VALUES.mean(axis=1),
        "sd": stats.tstd(VALUES, axis=1, ddof=0),
        "skewness": stats.skew(VALUES, axis=1),
        "kurtosis": stats.kurtosis(VALUES, axis=1),
        "minimum": VALUES.min(axis=1),
        "p10": stats.scoreatpercentile(VALUES, 10, axis=1),
        "p25": stats.scoreatpercentile(VALUES, 25, axis=1),
        "median": np.median(VALUES, axis=1),
        "p75": stats.scoreatpercentile(VALUES, 75, axis=1),
        "p90": stats.scoreatpercentile(VALUES, 90, axis=1),
        "maximum": VALUES.max(axis=1),
        "range": np.ptp(VALUES, axis=1),
        "iqr": stats.iqr(VALUES, axis=1),
        "mad": np.abs(VALUES.T - VALUES.mean(axis=1)).mean(axis=0),
        "robust_mad": [robust_deviation(row) for row in VALUES],
        "energy": np.einsum("ij,ij->i", VALUES, VALUES),
        "entropy": [stats.entropy(share, base=2) for share in shares],
        "uniformity": [share @ share for share in shares],
    }
    assert set(found) == set(expected)
    for name, values in found.items():
        assert values == pytest.approx(np.array(expected[name]), rel=1e-9, abs=1e-12), name


def robust_deviation(row: np.ndarray) -> float:
    low, high = np.percentile(row, [10, 90])
    kept = row[(row >= low) & (row <= high)]
    return float(np.abs(kept - kept.mean()).mean())


def test_an_affine_change_leaves_the_shape_of_the_distribution_alone():
    before, after = first_order(VALUES), first_order(3 * VALUES + 1)
    for name in ("skewness", "kurtosis"):
        assert after[name] == pytest.approx(before[name])
    for name in ("sd", "range", "iqr", "mad", "robust_mad"):
        assert after[name] == pytest.approx(3 * before[name])
    for name in ("mean", "minimum", "p10", "median", "p90", "maximum"):
        assert after[name] == pytest.approx(3 * before[name] + 1)


def test_where_the_values_lie_does_not_matter():
    shuffled = first_order(np.random.default_rng(1).permuted(VALUES, axis=1))
    for name, values in first_order(VALUES).items():
        assert shuffled[name] == pytest.approx(values), name


@pytest.mark.parametrize("value", [0.0, 0.1, -3.3, 1e6])
def test_a_constant_patch_has_no_spread_and_no_shape(value):
    found = first_order(np.full((1, 25), np.float32(value), dtype=np.float64))
    flat = ("sd", "skewness", "kurtosis", "range", "iqr", "entropy")
    assert [found[name][0] for name in flat] == [0] * len(flat)
    assert found["mad"][0] == pytest.approx(0, abs=1e-9)
    assert found["uniformity"][0] == 1
    assert all(np.isfinite(values).all() for values in found.values())


def test_two_equally_frequent_values_have_the_closed_form():
    found = first_order(np.array([[-1.0, 1.0] * 8]))
    expected = {
        "mean": 0,
        "sd": 1,
        "skewness": 0,
        "kurtosis": -2,
        "entropy": 1,
        "uniformity": 0.5,
        "energy": 16,
    }
    assert {name: found[name][0] for name in expected} == pytest.approx(expected)
