from __future__ import annotations

import numpy as np
import pytest

from search.report.curves_figure import curves_figure, kinds_of, stacked
from search.report.style import svg
from tests.search.report.drawn import ODD, check_svg, outside, overlapping, texts

CURVES = (
    {"loss": [0.8, 0.6, 0.5], "stop_roc_auc": [None, 0.5, 0.6], "learning_rate": [1e-3] * 3},
    {"loss": [0.6, 0.4], "stop_roc_auc": [0.5, 0.7], "learning_rate": [1e-3] * 2},
)


@pytest.fixture
def folds(make_fold):
    return [make_fold(split, curves=curves, best_epoch=2 + split) for split, curves in enumerate(CURVES)]


def test_the_line_is_the_mean_of_the_folds_that_ran_so_long_and_the_shade_their_range(folds) -> None:
    figure = curves_figure({"trial 3": folds})
    axes = figure.axes[0]
    assert axes.lines[0].get_xdata().tolist() == [1, 2, 3]
    assert axes.lines[0].get_ydata() == pytest.approx([0.7, 0.5, 0.5])
    x, y = axes.collections[0].get_paths()[0].vertices.T
    assert (y[x == 1].min(), y[x == 1].max()) == (0.6, 0.8)
    assert (y[x == 2].min(), y[x == 2].max()) == (0.4, 0.6)


def test_the_upright_line_is_the_mean_best_epoch(folds) -> None:
    axes = curves_figure({"trial 3": folds}).axes[0]
    assert axes.lines[1].get_xdata() == [2.5, 2.5]


def test_every_kind_of_curve_has_a_panel_the_loss_first(folds) -> None:
    figure = curves_figure({"trial 3": folds})
    assert kinds_of({"trial 3": folds}) == ["loss", "stop_roc_auc", "learning_rate"]
    titles = [axes.texts[0].get_text() for axes in figure.axes]
    assert titles == ["Training loss", "AUC on the inner stopping split", "Learning rate"]
    assert figure.axes[2].get_yscale() == "log"


def test_a_missing_value_is_a_gap() -> None:
    class Fold:
        curves = {"auc": [None, 0.5]}  # noqa: RUF012

    table = stacked([Fold()], "auc")
    assert np.isnan(table[0, 0])
    assert table[0, 1] == 0.5


def test_without_epochs_there_is_no_figure(make_fold) -> None:
    assert curves_figure({}) is None
    assert curves_figure({"t": []}) is None
    assert curves_figure({"t": [make_fold(0, curves={}), make_fold(1, curves={"loss": [None]})]}) is None


def test_trials_without_epochs_are_not_named(folds, make_fold) -> None:
    shown = texts(curves_figure({"trial 3": folds, "trial 4": [make_fold(0, curves={})]}))
    assert "trial 3" in shown
    assert "trial 4" not in shown


def test_the_order_of_the_folds_changes_nothing(folds) -> None:
    assert svg(curves_figure({"t": folds})) == svg(curves_figure({"t": folds[::-1]}))


@pytest.mark.parametrize("names", [["_hidden"], ["a", ODD, *(f"trial {i}" for i in range(8))]])
def test_nothing_is_cut_off_or_written_over_something_else(names, folds, make_fold) -> None:
    once = make_fold(0, curves={"loss": [0.5], ODD: [0.1]}, best_epoch=1)
    for runs in (folds, [once], [make_fold(0, curves={"loss": np.linspace(1, 0.1, 500).tolist()})]):
        figure = curves_figure(dict.fromkeys(names, runs))
        assert not outside(figure)
        assert not overlapping(figure)
        check_svg(svg(figure))
