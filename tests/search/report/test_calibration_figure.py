from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import binomtest

from search.report.calibration_figure import calibration_figure, reliability, share_interval
from search.report.style import svg
from tests.search.report.drawn import (
    check_svg,
    constant,
    of_one_class,
    outputs_of,
    outside,
    overlapping,
    shuffled,
    texts,
)


def test_every_bin_has_the_mean_and_the_share_of_its_own_biopsies() -> None:
    outputs = outputs_of()
    label, probability = outputs.label[0], outputs.probability[0]
    order = np.argsort(probability)
    start = 0
    for found in reliability(outputs):
        rows = order[start : start + round(found.biopsies)]
        assert found.probability == pytest.approx(probability[rows].mean())
        assert found.positive == pytest.approx(label[rows].mean())
        assert found.low <= found.positive <= found.high
        start += len(rows)
    assert start == 150


def test_bins_are_about_as_large_as_each_other() -> None:
    sizes = [found.biopsies for found in reliability(outputs_of())]
    assert len(sizes) == 8
    assert max(sizes) - min(sizes) <= 2


def test_one_biopsy_a_participant_gives_wilson_s_interval() -> None:
    label = np.array([1] * 300 + [0] * 700)
    expected = binomtest(300, 1000).proportion_ci(method="wilson")
    assert share_interval(label, np.arange(1000)) == pytest.approx((expected.low, expected.high), abs=1e-4)


@pytest.mark.parametrize("copies", [2, 7])
def test_biopsies_that_repeat_their_participant_s_label_narrow_nothing(copies: int) -> None:
    label = np.random.default_rng(0).integers(0, 2, 40)
    once = share_interval(label, np.arange(40))
    assert share_interval(np.repeat(label, copies), np.repeat(np.arange(40), copies)) == pytest.approx(once)


@pytest.mark.parametrize("side", [0, 1])
def test_a_share_without_variance_still_has_an_interval(side: int) -> None:
    low, high = share_interval(np.full(12, side), np.arange(12) // 3)
    expected = binomtest(4 * side, 4).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((expected.low, expected.high))


def test_the_fitted_line_is_the_logistic_model_between_the_probabilities_given() -> None:
    outputs = outputs_of()
    line = calibration_figure(outputs, 0.8, -0.1).axes[0].lines[1]
    x, y = line.get_data()
    assert (x[0], x[-1]) == pytest.approx((outputs.probability.min(), outputs.probability.max()))
    np.testing.assert_allclose(y, expit(-0.1 + 0.8 * logit(x)))


def test_without_a_slope_no_line_is_drawn_or_named() -> None:
    figure = calibration_figure(outputs_of(), None, None)
    assert not [text for text in texts(figure) if "slope" in text]


def test_the_bars_count_every_biopsy_once_positives_upwards() -> None:
    outputs = outputs_of(repeats=3)
    heights = [bar.get_height() for bar in calibration_figure(outputs, 1.0, 0.0).axes[1].patches]
    assert sum(h for h in heights if h > 0) == pytest.approx(outputs.label[0].sum())
    assert sum(h for h in heights if h < 0) == pytest.approx(-(outputs.label[0] == 0).sum())


def test_the_order_of_the_biopsies_changes_nothing() -> None:
    outputs = outputs_of()
    other = shuffled(outputs, np.random.default_rng(1).permutation(150))
    np.testing.assert_allclose(reliability(outputs), reliability(other))


@pytest.mark.parametrize(
    "outputs",
    [
        outputs_of(),
        outputs_of(300, 90, 10),
        outputs_of(6, 4, folds=2),
        constant(outputs_of()),
        constant(outputs_of(), 1.0),
        of_one_class(outputs_of(20, 8)),
    ],
    ids=["usual", "many", "six", "constant", "certain", "one class"],
)
def test_nothing_is_cut_off_or_written_over_something_else(outputs) -> None:
    figure = calibration_figure(outputs, 0.8, -0.1)
    assert not outside(figure)
    assert not overlapping(figure)
    check_svg(svg(figure))
