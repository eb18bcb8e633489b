"""The figures say what the numbers do."""

from __future__ import annotations

import numpy as np

from search.report.style import svg
from search.retest.figures import MOST_NAMES, bland_altman_figure, maps_figure
from search.retest.judged import OwnMap
from search.statistics.agreement import Drawn
from search.statistics.differences import bland_altman
from tests.search.retest.by_hand import paired


def test_every_biopsy_is_a_point_and_the_limits_are_lines() -> None:
    sites = paired()
    first, second = sites.probabilities
    apart = bland_altman(first, second, Drawn(sites.participant))
    assert apart is not None
    (axes,) = bland_altman_figure(sites, apart).axes
    points = [line for line in axes.lines if line.get_marker() == "o"]
    flipped = (first > 0.5) != (second > 0.5)
    assert [len(line.get_xdata()) for line in points] == [int((~flipped).sum()), int(flipped.sum())]
    d = np.concatenate([line.get_ydata() for line in points])
    assert np.allclose(np.sort(d), np.sort(second - first))
    levels = {float(line.get_ydata()[0]) for line in axes.lines if line.get_marker() != "o"}
    assert levels == {apart.bias.value, apart.lower.value, apart.upper.value}
    low, high = axes.get_ylim()
    assert low < min(d.min(), *levels)
    assert high > max(d.max(), *levels)


def test_maps_are_in_order_and_names_are_drawn_as_they_are() -> None:
    maps = [OwnMap("sub-$x^2$", 9, 0.4, 0.3), OwnMap("<b>", 9, 0.9, 0.1), OwnMap("flat", 9, None, 0.0)]
    figure = maps_figure(maps)
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == ["<b>", "sub-$x^2$"]
    assert "sub-$x^2$" in svg(figure)
    assert "&lt;b&gt;" in svg(figure)


def test_of_many_maps_both_ends_are_drawn() -> None:
    maps = [OwnMap(f"sub-{k:03}", 9, k / 100, 0.1) for k in range(90)]
    texts = [text.get_text() for text in maps_figure(maps).axes[0].texts]
    assert len(texts) == MOST_NAMES
    assert (texts[0], texts[-1]) == ("sub-089", "sub-000")
    assert maps_figure([]).axes[0].get_yticks().size == 0
