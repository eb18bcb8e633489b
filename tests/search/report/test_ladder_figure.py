from __future__ import annotations

import pytest

from search.report.ladder_figure import Rung, ladder_figure
from search.report.style import svg
from tests.search.report.drawn import ODD, check_svg, outside, overlapping, texts

ROWS = (
    Rung("constant", 0.5, 0.5, 0.5),
    Rung("roi_means", 0.63, 0.5, 0.75, is_selected=True),
    Rung("small_cnn", None),
)


def test_rungs_stand_in_order_with_their_numbers() -> None:
    figure = ladder_figure(ROWS)
    shown = [text for text in texts(figure) if text in {row.name for row in ROWS}]
    assert shown == ["constant", "roi_means", "small_cnn"]
    assert {"0.63 (0.50 to 0.75)", "no estimate"} <= set(texts(figure))
    drawn = [list(line.get_xdata()) for line in figure.axes[0].lines]
    assert [0.5, 0.75] in drawn
    assert [0.63] in drawn


def test_what_was_selected_is_the_bold_one() -> None:
    bold = [text.get_text() for text in ladder_figure(ROWS).axes[0].texts if text.get_weight() == "bold"]
    assert bold == ["roi_means", "0.63 (0.50 to 0.75)"]


def test_chance_is_marked_where_the_metric_has_it() -> None:
    assert "chance" in texts(ladder_figure(ROWS))
    assert "chance" not in texts(ladder_figure(ROWS, metric="brier", axis="Brier score"))


@pytest.mark.parametrize("rows", [ROWS, (), [Rung(ODD, 1.0, 0.9, 1.0)] * 20])
def test_nothing_is_cut_off_or_written_over_something_else(rows) -> None:
    figure = ladder_figure(rows)
    assert not outside(figure)
    assert not overlapping(figure)
    check_svg(svg(figure))
