from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.report.intervals import Interval, draw_chance, draw_interval, reach, told
from search.report.style import WIDTH, draw_on, plain_axes
from tests.search.report.drawn import ODD, outside, overlapping, texts


def drawn(row: Interval, strong: bool = False):
    figure = draw_on(1.5, "x")
    axes = plain_axes(figure, 0.2, 0.4, 0.2, 0.2)
    axes.set(xlim=(0.3, 0.9), ylim=(0.9, 0), yticks=[])
    draw_interval(axes, 0.1, row, "black", "o", strong)
    return figure


def test_an_interval_is_drawn_where_its_numbers_are() -> None:
    lines = drawn(Interval("a", 0.6, 0.5, 0.7)).axes[0].lines
    assert [list(line.get_xdata()) for line in lines] == [[0.5, 0.7], [0.6]]


def test_no_estimate_is_said_and_not_drawn() -> None:
    figure = drawn(Interval("a", None))
    assert not figure.axes[0].lines
    assert "no estimate" in texts(figure)


@pytest.mark.parametrize("strong", [False, True])
def test_a_long_name_is_cut_before_it_reaches_the_numbers(strong: bool) -> None:
    figure = drawn(Interval(ODD, 0.6, 0.5, 0.7), strong)
    assert not outside(figure)
    assert not overlapping(figure)
    assert any(text.startswith('<b>&"$x$ w') and text.endswith("…") for text in texts(figure))


def test_numbers_are_told_with_two_digits() -> None:
    assert told(0.6149, 0.5, 0.75) == "0.61 (0.50 to 0.75)"
    assert told(math.nan) == "no estimate"
    assert told(0.5, None, 0.7) == "0.50"


@given(st.lists(st.floats(-5, 5), min_size=1), st.sampled_from([0.05, 0.1]))
def test_every_value_lies_within_the_axis_and_shares_within_their_bounds(values, step) -> None:
    low, high = reach(values, step=step)
    assert low <= min(values) <= max(values) <= high
    assert low < high
    if min(values) >= 0 and max(values) <= 1:
        assert low >= 0
        assert high <= 1


def test_an_axis_without_values_is_that_of_shares() -> None:
    assert reach([None, math.nan]) == (0.0, 1.0)


def test_chance_is_marked_at_one_half() -> None:
    figure = drawn(Interval("a", 0.6))
    draw_chance(figure.axes[0], 0.0)
    assert list(figure.axes[0].lines[-1].get_xdata()) == [0.5, 0.5]
    assert "chance" in texts(figure)


def test_the_figure_is_as_wide_as_the_others() -> None:
    assert drawn(Interval("a", 0.6)).get_size_inches()[0] == WIDTH
