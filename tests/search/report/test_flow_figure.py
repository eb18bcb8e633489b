from __future__ import annotations

import pytest

from search.report.flow_figure import Flow, flow_figure
from search.report.style import svg
from tests.search.report.drawn import ODD, check_svg, outside, overlapping, texts

EXCLUDED = {"no expression for the gene": 9, "site outside the image": 3}
USUAL = Flow(162, 48, EXCLUDED, 150, 45, 82, 68, 5, 1, "Positive: CD3D above 1.03 TPM")
SMALL = Flow(6, 2, {}, 6, 2, 1, 5, 2, 10)
MANY = Flow(
    300, 90, {f"{i} {ODD} and a long reason": i + 1 for i in range(12)}, 222, 80, 200, 22, 10, 10, ODD
)


def test_every_number_of_the_flow_is_told() -> None:
    shown = texts(flow_figure(USUAL))
    assert shown.count("162 biopsies") == 1
    assert {"48 participants", "150 biopsies", "45 participants", "82 biopsies", "68 biopsies"} <= set(shown)
    assert {"Left out: 12 biopsies", "9 no expression for the gene", "3 site outside the image"} <= set(shown)
    assert {"5 folds", "Positive: CD3D above 1.03 TPM"} <= set(shown)


def test_one_of_something_is_singular_and_repeats_are_told() -> None:
    shown = texts(flow_figure(SMALL))
    assert {"1 biopsy", "5 biopsies", "2 folds, 10 times", "Left out: 0 biopsies"} <= set(shown)


def test_every_line_lies_in_its_box_and_no_two_boxes_touch() -> None:
    for flow in (USUAL, SMALL, MANY):
        axes = flow_figure(flow).axes[0]
        boxes = [patch.get_bbox() for patch in axes.patches if hasattr(patch, "get_boxstyle")]
        assert len(boxes) == 6
        for index, box in enumerate(boxes):
            assert not any(box.overlaps(other) for other in boxes[:index])
        inside = [
            any(box.contains(*text.get_position()) for box in boxes)
            for text in axes.texts
            if text.get_text() and not text.get_text().startswith(("Positive: ", "<b>", "…", "w"))
        ]
        assert all(inside)


@pytest.mark.parametrize("flow", [USUAL, SMALL, MANY], ids=["usual", "small", "many"])
def test_nothing_is_cut_off_or_written_over_something_else(flow: Flow) -> None:
    figure = flow_figure(flow)
    assert not outside(figure)
    assert not overlapping(figure)
    check_svg(svg(figure))
