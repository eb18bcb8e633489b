from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from data_prep.folds import FoldTable, make_folds
from search.report.folds_figure import folds_figure, held_out
from search.report.style import svg
from tests.search.report.drawn import check_svg, outputs_of, outside, overlapping, texts


def table_of(
    n: int = 150, people: int = 45, folds: int = 5, repeats: int = 1
) -> tuple[FoldTable, np.ndarray]:
    outputs = outputs_of(n, people, repeats, folds)
    names = tuple(f"p{person}" for person in outputs.participant)
    return FoldTable(tuple(f"b{i}" for i in range(n)), names, outputs.fold, folds), outputs.label[0]


def test_bars_are_the_biopsies_of_either_class_by_fold() -> None:
    table, label = table_of(repeats=2)
    figure = folds_figure(table, label)
    for repeat, axes in enumerate(figure.axes):
        heights = [bar.get_height() for bar in axes.patches]
        counts = Counter(zip(table.fold[repeat].tolist(), label.tolist(), strict=True))
        assert heights[:5] == [counts[k, 1] for k in range(5)]
        assert heights[5:] == [counts[k, 0] for k in range(5)]
        assert [bar.get_y() for bar in axes.patches[5:]] == heights[:5]


def test_participants_are_counted_once_above_their_fold() -> None:
    table, label = table_of()
    people = held_out(table, 0, label)[2]
    rows = list(zip(table.participant_id, table.fold[0].tolist(), strict=True))
    assert people.tolist() == [len({name for name, k in rows if k == fold}) for fold in range(5)]
    shown = [text.get_text().strip() for text in folds_figure(table, label).axes[0].texts]
    assert shown[:5] == [str(count) for count in people]


def test_a_label_of_each_repeat_is_drawn_with_its_repeat() -> None:
    table, label = table_of(repeats=2)
    figure = folds_figure(table, np.stack([label, 1 - label]))
    first, second = ([bar.get_height() for bar in axes.patches] for axes in figure.axes)
    assert sum(first[:5]) == label.sum()
    assert sum(second[:5]) == (1 - label).sum()


def test_the_project_s_own_folds_can_be_drawn() -> None:
    outputs = outputs_of()
    names = [f"p{person}" for person in outputs.participant]
    table = make_folds([f"b{i}" for i in range(150)], names, outputs.label[0], 5, 1, 0)
    assert "Fold" in texts(folds_figure(table, outputs.label[0]))


@pytest.mark.parametrize(
    ("n", "people", "folds", "repeats"),
    [(150, 45, 5, 1), (150, 45, 5, 10), (150, 45, 45, 1), (6, 4, 2, 1), (300, 90, 10, 3)],
)
def test_nothing_is_cut_off_or_written_over_something_else(n, people, folds, repeats) -> None:
    figure = folds_figure(*table_of(n, people, folds, repeats))
    assert not outside(figure)
    assert not overlapping(figure)
    check_svg(svg(figure))
