from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from search.statistics.comparison import Comparison, corrected, corrected_t, holm

differences = st.lists(st.floats(-1, 1).map(lambda x: round(x, 3)), min_size=2, max_size=50)
p_values = st.lists(st.floats(0, 1), min_size=1, max_size=8)


@given(differences.filter(lambda d: len(set(d)) > 1))
def test_without_overlap_of_training_data_it_is_students_paired_test(d: list[float]) -> None:
    ours, theirs = corrected_t(d, 0.0), stats.ttest_1samp(d, 0.0)
    low, high = theirs.confidence_interval(0.95)
    assert ours.p == pytest.approx(theirs.pvalue)
    assert (ours.difference, ours.low, ours.high) == pytest.approx((np.mean(d), low, high))


def test_a_case_by_hand() -> None:
    """d = .1, .2, .3: mean .2, s = .1; (1/3 + 1/4) .01 = .007 / 1.2, so t = .2 / sqrt(.007/1.2), df 2.

    With two degrees of freedom Student's t has p = 1 - t / sqrt(2 + t^2).
    """
    t = 0.2 / np.sqrt(0.007 / 1.2)
    found = corrected_t([0.1, 0.2, 0.3], 0.25)
    assert found.p == pytest.approx(1 - t / np.sqrt(2 + t * t))
    assert found.margin == pytest.approx(4.30265273 * np.sqrt(0.007 / 1.2))
    assert found.high - found.low == pytest.approx(2 * found.margin)
    assert (found.folds, found.indistinguishable) == (3, True)


def test_fifty_folds_of_five_count_as_less_than_four() -> None:
    """The variance of the mean in units of that of one difference: 1/50 + 1/4 = 1/3.7."""
    d = np.tile([-1.0, 1.0], 25)
    reach = corrected_t(d, 0.25).margin / stats.t.ppf(0.975, 49)
    assert d.var(ddof=1) / reach**2 == pytest.approx(3.7037, abs=1e-4)


def test_it_is_wrong_in_one_case_of_twenty_where_folds_share_training_data() -> None:
    """Differences of equal correlation n_test / (n_test + n_train), the model behind the correction."""
    rng = np.random.default_rng(0)
    share, cohorts, folds = 0.25, 4000, 10
    rho = share / (1 + share)
    common, own = rng.normal(size=(cohorts, 1)), rng.normal(size=(cohorts, folds))
    d = np.sqrt(rho) * common + np.sqrt(1 - rho) * own
    wrong = np.mean([corrected_t(row, share).p < 0.05 for row in d])
    naive = np.mean(stats.ttest_1samp(d, 0.0, axis=1).pvalue < 0.05)
    assert 0.04 < wrong < 0.06
    assert naive > 0.25


@given(differences, st.floats(0, 1))
def test_what_the_interval_leaves_out_is_what_is_told_apart(d: list[float], share: float) -> None:
    found = corrected_t(d, share)
    if abs(found.p - 0.05) > 1e-9 and found.margin > 0:
        assert (
            found.indistinguishable == (found.low < 0 < found.high) == (abs(found.difference) < found.margin)
        )


def test_differences_without_a_spread() -> None:
    same, constant = corrected_t([0.0] * 5, 0.25), corrected_t([0.1] * 3, 0.25)
    assert (same.p, same.margin, same.indistinguishable) == (1.0, 0.0, True)
    assert (constant.p, constant.margin, constant.indistinguishable) == (0.0, 0.0, False)


def test_one_fold_is_no_comparison() -> None:
    with pytest.raises(ValueError, match="at least two folds are needed, but got 1"):
        corrected_t([0.1], 0.25)


@given(p_values)
def test_holms_p_values_decide_as_his_procedure_does(p: list[float]) -> None:
    """As the paper has it: go up the ordered p-values, stop at the first that is too large."""
    adjusted = holm(p)
    for level in (0.01, 0.05, 0.2):
        rejected = set()
        for rank, index in enumerate(sorted(range(len(p)), key=p.__getitem__)):
            if p[index] * (len(p) - rank) > level:
                break
            rejected.add(index)
        assert {index for index, value in enumerate(adjusted) if value <= level} == rejected
    assert all(one >= raw for one, raw in zip(adjusted, p, strict=True))


def test_several_comparisons_are_corrected_and_keep_their_intervals() -> None:
    one = Comparison(0.2, 0.01, 0.39, 0.04, 0.0945, 50)
    other = Comparison(0.3, 0.11, 0.49, 0.001, 0.0945, 50)
    first, second = corrected([one, other])
    assert (first.p, second.p) == (0.04, 0.002)
    assert [c.indistinguishable for c in corrected([one, one])] == [True, True]
    assert (first.low, first.high) == (0.01, 0.39)
    assert one.margin == pytest.approx(0.19, abs=1e-3)
    assert first.margin == pytest.approx(0.0945 * stats.t.ppf(1 - 0.0125, 49))
