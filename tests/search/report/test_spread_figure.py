from __future__ import annotations

import numpy as np
import pytest

from search.report.spread_figure import bank_figure, null_figure
from search.report.style import svg
from tests.search.report.drawn import ODD, check_svg, outside, overlapping, texts

NULL = np.random.default_rng(0).normal(0.5, 0.05, 199)


def test_every_permutation_is_counted_in_the_bar_over_it() -> None:
    figure = null_figure(np.append(NULL, np.nan), 0.63, 0.01, "AUC")
    bars = figure.axes[0].patches
    assert sum(bar.get_height() for bar in bars) == 199
    for bar in bars[:-1]:
        within = (bar.get_x() <= NULL) & (bar.get_x() + bar.get_width() > NULL)
        assert bar.get_height() == within.sum()
    assert {"observed 0.630, p = 0.010", "199 permutations"} <= set(texts(figure))


def test_the_observed_value_is_a_line_within_the_axis() -> None:
    axes = null_figure(np.full(199, 0.5), 0.98, 0.005, "AUC").axes[0]
    assert list(axes.lines[0].get_xdata()) == [0.98, 0.98]
    assert axes.get_xlim()[0] < 0.5 < 0.98 < axes.get_xlim()[1]


def test_the_order_of_the_permutations_changes_nothing() -> None:
    assert svg(null_figure(NULL, 0.6, 0.1, "AUC")) == svg(null_figure(NULL[::-1], 0.6, 0.1, "AUC"))


def test_a_finalist_has_a_dot_a_table_and_the_search_s_own_is_marked() -> None:
    axes = bank_figure({"trial 3": [0.7, 0.5, 0.6, np.nan]}).axes[0]
    drawn = {line.get_marker(): list(line.get_xdata()) for line in axes.lines if line.get_marker() != "None"}
    assert drawn["D"] == [0.7]
    assert drawn["o"] == [0.5, 0.6]
    assert drawn["|"] == [0.6]
    assert "0.60 (0.50 to 0.70)" in texts(axes.figure)


def test_the_bar_is_the_middle_half() -> None:
    values = np.linspace(0.5, 0.7, 11)
    lines = bank_figure({"a": values}, chance=False).axes[0].lines
    assert list(lines[0].get_xdata()) == pytest.approx([0.55, 0.65])


@pytest.mark.parametrize(
    "figure",
    [
        null_figure(NULL, 0.63, 0.01, "AUC"),
        null_figure(np.array([0.5]), 0.5, 1.0, ODD),
        null_figure(np.array([]), 0.5, 1.0, ODD),
        bank_figure({f"trial {i}": NULL[10 * i : 10 * i + 10] for i in range(10)}),
        bank_figure({ODD: [0.6], "b": [np.nan]}),
        bank_figure({}),
    ],
)
def test_nothing_is_cut_off_or_written_over_something_else(figure) -> None:
    assert not outside(figure)
    assert not overlapping(figure)
    check_svg(svg(figure))
