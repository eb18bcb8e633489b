"""Limits of agreement and labels that flip: by hand, and against known truths."""

from __future__ import annotations

import numpy as np
import pytest

from search.statistics.differences import bland_altman, flips


def test_bland_altman_by_hand() -> None:
    first, second = np.array([1.0, 2.0, 3.0, 4.0]), np.array([2.0, 2.0, 5.0, 5.0])
    found = bland_altman(first, second)
    assert found is not None
    sd = np.std([1, 0, 2, 1], ddof=1)
    assert found.bias.value == 1.0
    assert found.lower.value == pytest.approx(1 - 1.959964 * sd)
    assert found.upper.value == pytest.approx(1 + 1.959964 * sd)
    assert found.repeatability.value == pytest.approx(2.77 * np.sqrt(np.mean([1, 0, 4, 1]) / 2), rel=2e-3)
    # The quantiles of chi squared with 4 degrees of freedom, one a difference, as tables have them.
    expected = [found.repeatability.value * np.sqrt(4 / chi2) for chi2 in (11.143, 0.48442)]
    assert found.repeatability.textbook == pytest.approx(expected, rel=1e-4)
    assert bland_altman(first[:2], second[:2]) is None


def test_bland_altman_intervals_cover_and_bracket() -> None:
    held = np.zeros(3)
    for seed in range(400):
        rng = np.random.default_rng(seed)
        truth = rng.normal(size=50)
        found = bland_altman(truth + rng.normal(size=50), truth + rng.normal(size=50))
        assert found is not None
        true = (0.0, 1.959964 * np.sqrt(2), 1.959964 * np.sqrt(2))
        for place, one in enumerate((found.bias, found.upper, found.repeatability)):
            assert one.textbook is not None
            assert one.value is not None
            assert one.textbook[0] < one.value < one.textbook[1]
            held[place] += one.textbook[0] <= true[place] <= one.textbook[1]
    assert (held / 400 >= 0.91).all()
    assert (held / 400 <= 0.985).all()


def test_flips_are_counted_against_chance_and_where_they_are_expected() -> None:
    first = np.array([0.4, 0.3, 0.02, -0.02, -0.3, -0.4])
    second = np.array([0.4, -0.3, -0.02, 0.02, -0.3, -0.4])
    found = flips(first, second, reach=0.05)
    assert found is not None
    assert (found.sites, found.flips, found.share.value) == (6, 3, 0.5)
    assert found.by_chance == pytest.approx(0.5 * 4 / 6 + 0.5 * 2 / 6)
    assert found.kappa == pytest.approx(0.0)
    assert (found.unstable, found.flips_elsewhere) == (2, 1)
    assert flips(first[:0], second[:0]) is None


def test_chance_is_that_of_each_fold() -> None:
    """A fold whose model says 1 of everything flips nothing by chance either."""
    fold = np.repeat([0, 1], 4)
    first = np.array([1, 1, 1, 1, 1, 1, -1, -1.0])
    second = np.array([1, 1, 1, 1, 1, -1, 1, -1.0])
    found = flips(first, second, strata=fold)
    assert found is not None
    assert (found.by_chance, found.kappa) == (0.25, pytest.approx(0.0))
    whole = flips(first, second)
    assert whole is not None
    assert whole.by_chance == pytest.approx(2 * 0.75 * 0.25)


def test_labels_that_never_differ_have_no_kappa() -> None:
    found = flips(np.full(5, 0.1), np.full(5, 0.2))
    assert found is not None
    assert (found.flips, found.by_chance, found.kappa, found.unstable) == (0, 0.0, None, None)


def test_the_interval_of_the_flip_rate_is_wilson_s() -> None:
    second = np.where(np.arange(20) < 3, -0.1, 0.1)
    found = flips(np.full(20, 0.1), second)
    assert found is not None
    assert found.share.textbook == pytest.approx((0.052, 0.360), abs=5e-4)
    alone = flips(np.full(20, 0.1), second, independent=False)
    assert alone is not None
    assert (alone.share.value, alone.share.textbook) == (0.15, None)
