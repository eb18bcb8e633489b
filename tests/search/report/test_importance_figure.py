"""The figure of importance says what the table beside it says: the same figures in the same order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from search.report.importance import Importance
from search.report.importance_figure import importance_figure
from search.report.style import svg
from tests.search.report.drawn import ODD, check_svg, outside, overlapping, texts


def found_of(names, drops, total) -> Importance:
    return Importance(3, 0, 10, "", 0.7, tuple(names), tuple(map(tuple, drops)), tuple(total))


# The folds hold different numbers of pairs: the unweighted means are 0.02, 0.04 and -0.005.
FOUND = found_of(("T1Gd", "T2", "FLAIR"), [[0.01, 0.03], [0.10, -0.02], [-0.02, 0.01]], (0.025, 0.017, -0.01))


def test_bars_are_the_losses_over_all_pairs_in_the_order_of_the_table() -> None:
    figure = importance_figure(FOUND)
    bars = sorted(figure.axes[0].patches, key=lambda bar: bar.get_y())
    assert [bar.get_width() for bar in bars] == [FOUND.total[index] for index in FOUND.order]
    shown = [text for text in texts(figure) if text in FOUND.sequences]
    assert shown == [FOUND.sequences[index] for index in FOUND.order] == ["T1Gd", "T2", "FLAIR"]
    assert {"+0.025", "+0.017", "-0.010"} <= set(texts(figure))


def test_every_fold_is_a_dot_of_its_sequence() -> None:
    lines = importance_figure(FOUND).axes[0].lines[1:]
    assert [list(line.get_xdata()) for line in lines] == [sorted(FOUND.drops[index]) for index in FOUND.order]


def test_without_a_pair_no_sequence_has_a_value() -> None:
    figure = importance_figure(replace(FOUND, roc_auc=None, drops=((), (), ()), total=(None, None, None)))
    assert texts(figure).count("none") == 3
    assert not figure.axes[0].patches


def test_the_order_of_the_sequences_changes_nothing() -> None:
    order, even = [2, 0, 1], replace(FOUND, total=(0.01, 0.01, 0.01))
    for found in (FOUND, even):
        fields = [[one[i] for i in order] for one in (found.sequences, found.drops, found.total)]
        assert svg(importance_figure(found_of(*fields))) == svg(importance_figure(found))


@pytest.mark.parametrize(
    "found",
    [
        FOUND,
        found_of(["_hidden", ODD], [[-0.3], [-0.3]], [-0.3, -0.3]),
        found_of(["T1"], np.zeros((1, 5)), [0.0]),
        found_of(["T1"], [[]], [None]),
        found_of([], [], []),
        found_of([f"s{i}" for i in range(27)], np.random.default_rng(0).normal(size=(27, 10)), [0.1] * 27),
    ],
)
def test_nothing_is_cut_off_or_written_over_something_else(found: Importance) -> None:
    figure = importance_figure(found)
    assert not outside(figure)
    assert not overlapping(figure)
    check_svg(svg(figure))
