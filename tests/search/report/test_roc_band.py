from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from search.figures import fold_curves, mean_curve
from search.report.roc_band import LEVELS, bootstrap_band, curves_of, roc_figure
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


def slow_curve(outputs, people):
    """The mean curve of the biopsies of these participants, with multiplicity, row by row."""
    curves = []
    for label, score, fold in zip(outputs.label, outputs.score, outputs.fold, strict=True):
        rows = np.concatenate([np.flatnonzero(outputs.participant == person) for person in people])
        curves += fold_curves(label[rows], score[rows], fold[rows])
    return mean_curve(curves)


def test_the_band_is_that_of_a_plain_bootstrap_of_whole_participants() -> None:
    outputs, draws = outputs_of(60, 20, repeats=2), 40
    band = bootstrap_band(outputs, draws, seed=3)
    times = np.random.default_rng(3).multinomial(20, np.full(20, 1 / 20), size=draws)
    means = [slow_curve(outputs, np.repeat(np.arange(20), row)) for row in times]
    low = [-np.interp(-band.fpr, -mean.fpr[::-1], -mean.tpr[::-1]) for mean in means]
    high = [np.interp(band.fpr, mean.fpr, mean.tpr) for mean in means]
    np.testing.assert_allclose(band.low, np.quantile(low, LEVELS[0], axis=0), atol=1e-12)
    np.testing.assert_allclose(band.high, np.quantile(high, LEVELS[1], axis=0), atol=1e-12)
    np.testing.assert_allclose(band.auc, [mean.auc for mean in means], atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_the_band_holds_the_curve(seed: int) -> None:
    outputs = outputs_of(seed=seed)
    band, mean = bootstrap_band(outputs, 300, seed), mean_curve(curves_of(outputs))
    assert (np.interp(band.fpr, mean.fpr, mean.tpr) <= band.high + 1e-12).all()
    assert (-np.interp(-band.fpr, -mean.fpr[::-1], -mean.tpr[::-1]) >= band.low - 1e-12).all()
    assert (np.diff(band.low) >= -1e-12).all()
    assert ((band.low >= 0) & (band.high <= 1) & (band.low <= band.high)).all()


def test_the_drawn_curve_has_the_area_that_its_legend_names() -> None:
    outputs = outputs_of(repeats=3)
    figure = roc_figure(outputs, draws=50)
    x, y = figure.axes[0].lines[0].get_data()
    pairs = [
        (np.sum(label[fold == k] == 1) * np.sum(label[fold == k] == 0), label[fold == k], score[fold == k])
        for label, score, fold in zip(outputs.label, outputs.score, outputs.fold, strict=True)
        for k in range(5)
    ]
    area = sum(n * roc_auc_score(label, score) for n, label, score in pairs) / sum(n for n, _, _ in pairs)
    assert np.trapezoid(y, x) == pytest.approx(area)
    assert any(text.startswith(f"within folds: AUC {area:.2f} (") for text in texts(figure))


def test_the_legend_has_the_report_s_own_interval_where_there_is_one() -> None:
    figure = roc_figure(outputs_of(), draws=20, interval=(0.123, 0.987))
    assert any(text.endswith("(0.12 to 0.99)") for text in texts(figure))


def test_the_order_of_the_biopsies_changes_nothing() -> None:
    outputs = outputs_of()
    other = shuffled(outputs, np.random.default_rng(1).permutation(150))
    for ours, theirs in zip(bootstrap_band(outputs, 50, 0), bootstrap_band(other, 50, 0), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_the_same_seed_gives_the_same_bytes() -> None:
    assert svg(roc_figure(outputs_of(), 30, seed=1)) == svg(roc_figure(outputs_of(), 30, seed=1))
    assert svg(roc_figure(outputs_of(), 30, seed=1)) != svg(roc_figure(outputs_of(), 30, seed=2))


def test_constant_predictions_lie_on_the_diagonal_with_no_band() -> None:
    band = bootstrap_band(constant(outputs_of()), 50, 0)
    np.testing.assert_allclose(band.low, band.fpr, atol=1e-12)
    np.testing.assert_allclose(band.high, band.fpr, atol=1e-12)
    assert set(band.auc) == {0.5}


def test_without_a_fold_of_both_classes_it_says_so() -> None:
    figure = roc_figure(of_one_class(outputs_of()))
    assert "no fold holds both classes" in texts(figure)
    assert not outside(figure)


@pytest.mark.parametrize("outputs", [outputs_of(), outputs_of(6, 4, folds=2), outputs_of(300, 90, 3)])
def test_nothing_is_cut_off_or_written_over_something_else(outputs) -> None:
    figure = roc_figure(outputs, draws=20)
    assert not outside(figure)
    assert not overlapping(figure)
    check_svg(svg(figure))
