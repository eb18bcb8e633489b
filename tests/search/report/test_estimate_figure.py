from __future__ import annotations

import numpy as np
import pytest
from matplotlib.text import Annotation

from search.report.estimate_figure import estimate_figure
from search.report.intervals import Interval
from search.report.style import svg
from tests.search.report.drawn import ODD, check_svg, outside, overlapping, texts

ROWS = (
    Interval("Best trial", 0.72, 0.63, 0.81, "naive"),
    Interval("Selected model", 0.61, 0.48, 0.73, "honest"),
    Interval("Untuned default", 0.58, 0.45, 0.70, "default"),
    Interval("Nested", None, role="comparison"),
    Interval("Constant", 0.5, role="chance"),
)


def arrows(figure):
    """From and to, as values, of every arrow."""
    notes = [artist for artist in figure.axes[0].texts if isinstance(artist, Annotation)]
    return [(note.xyann[0], note.xy[0]) for note in notes]


def shown(figure):
    """Every value and every interval that is drawn solid."""
    return [list(line.get_xdata()) for line in figure.axes[0].lines if line.get_linestyle() in ("-", "None")]


def test_every_estimate_and_interval_is_where_its_numbers_are() -> None:
    drawn = shown(estimate_figure(ROWS))
    for row in ROWS:
        if row.value is not None:
            assert [row.value] in drawn
        if row.low is not None:
            assert [row.low, row.high] in drawn


def test_the_optimism_is_an_arrow_from_naive_to_honest_with_their_difference() -> None:
    figure = estimate_figure(ROWS)
    assert arrows(figure) == [(0.72, 0.61)]
    assert "optimism +0.11" in texts(figure)


def test_a_metric_that_is_better_when_lower_is_optimistic_below_the_honest_value() -> None:
    rows = [Interval("a", 0.21, role="naive"), Interval("b", 0.24, role="honest")]
    figure = estimate_figure(rows, metric="brier", axis="Brier score")
    assert {"optimism +0.030", "0.210", "0.240"} <= {*texts(figure)}
    assert not {"chance", "credible", "audit"} & set(texts(figure))


def test_chance_the_credible_range_and_the_audit_are_marked_for_the_primary_metric_alone() -> None:
    axes = estimate_figure(ROWS).axes[0]
    marks = {line.get_xdata()[0] for line in axes.lines if len(set(line.get_xdata())) == 1}
    assert {0.5, 0.8} <= marks
    assert [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in axes.patches] == [
        (0.65, pytest.approx(0.75))
    ]
    within = texts(estimate_figure(ROWS, metric="within_participant_auc"))
    assert "chance" in within
    assert "credible" not in within


@pytest.mark.parametrize(("naive", "told"), [(0.7449, "+0.04"), (0.6951, "0.00")])
def test_the_optimism_is_that_of_the_figures_beside_it(naive: float, told: str) -> None:
    figure = estimate_figure([Interval("a", naive, role="naive"), Interval("b", 0.7049, role="honest")])
    assert f"optimism {told}" in texts(figure)


def test_without_an_honest_value_there_is_no_arrow() -> None:
    figure = estimate_figure([ROWS[0], Interval("Honest", None, role="honest")])
    assert arrows(figure) == []
    assert not [text for text in texts(figure) if text.startswith("optimism")]


def test_the_bootstrap_is_drawn_over_its_own_range_and_peaks_at_its_mode() -> None:
    draws = np.append(np.random.default_rng(0).normal(0.6, 0.05, 999), np.nan)
    figure = estimate_figure(ROWS, draws)
    (cloud,) = figure.axes[0].collections
    x, y = cloud.get_paths()[0].vertices.T
    assert x.min() == pytest.approx(np.nanmin(draws))
    assert x.max() == pytest.approx(np.nanmax(draws))
    assert x[y.argmax()] == pytest.approx(0.6, abs=0.02)
    assert "999 bootstrap draws" in texts(figure)


def test_a_bootstrap_of_one_value_is_no_distribution() -> None:
    assert not estimate_figure(ROWS, np.full(10, 0.6)).axes[0].collections


@pytest.mark.parametrize(
    "rows",
    [
        ROWS,
        ROWS[:1],
        (),
        [Interval(ODD, 0.31, 0.2, 0.44, "naive"), Interval(ODD, 0.28, 0.02, 0.55, "honest")],
        [Interval("Naive", 0.99, 0.97, 1.0, "naive"), Interval("Honest", 0.97, 0.9, 1.0, "honest")],
        [Interval("Naive", 0.0, 0.0, 0.0, "naive"), Interval("Honest", 1.0, 1.0, 1.0, "honest")],
    ],
    ids=["all", "naive alone", "none", "odd names", "near one", "extremes"],
)
def test_nothing_is_cut_off_or_written_over_something_else(rows) -> None:
    figure = estimate_figure(rows, np.random.default_rng(0).normal(0.6, 0.1, 50))
    assert not outside(figure)
    assert not overlapping(figure)
    check_svg(svg(figure))
