from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from PIL import ImageDraw

from search.contact_sheet import HEAD, PITCH
from search.report.grid_figure import by_ease, distance, grid_figure
from tests.search.report.drawn import ODD, outputs_of, shuffled


@pytest.fixture
def written(monkeypatch):
    """Every line that is written, in order."""
    lines = []
    original = ImageDraw.ImageDraw.text

    def text(self, place, line, *args, **more):
        lines.append(line)
        original(self, place, line, *args, **more)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", text)
    return lines


def images(n: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, 5, 5))


def test_every_biopsy_is_there_once_from_easy_to_hard(written) -> None:
    outputs = outputs_of(150, repeats=3)
    grid_figure(images(150), outputs, [f"#{row}" for row in range(150)], "T1Gd")
    rows = [int(line[1:]) for line in written if line.startswith("#")]
    assert sorted(rows) == list(range(150))
    error = np.abs(outputs.label - outputs.probability).mean(axis=0)
    assert (np.diff(error[rows]) >= 0).all()


def test_label_and_mean_probability_stand_with_their_biopsy(written) -> None:
    outputs = outputs_of(30, 10, repeats=2)
    grid_figure(images(30), outputs, [f"#{row}" for row in range(30)], "T1Gd")
    told = {int(first[1:]): second for first, second in pairwise(written) if first.startswith("#")}
    for row in range(30):
        expected = f"true {outputs.label[0, row]}  p {outputs.probability[:, row].mean():.3f}"
        assert told[row] == expected


def test_the_head_counts_who_is_right_at_most_repeats(written) -> None:
    outputs = outputs_of(60, 20, repeats=3)
    grid_figure(images(60), outputs, ["x"] * 60, "T1Gd")
    right = np.sum((outputs.predicted.mean(axis=0) > 0.5) == (outputs.label[0] == 1))
    assert any(f"({right} of 60 right)" in line for line in written)


def test_the_order_of_the_rows_changes_nothing() -> None:
    outputs, order = outputs_of(), np.random.default_rng(1).permutation(150)
    other = shuffled(outputs, order)
    assert (order[by_ease(other)] == by_ease(outputs)).all()
    names = np.array([f"B{row:03d}" for row in range(150)])
    one = grid_figure(images(150), outputs, list(names), "T1")
    two = grid_figure(images(150)[order], other, list(names[order]), "T1")
    assert one.tobytes() == two.tobytes()


def test_distance_is_nothing_for_a_certain_and_right_answer() -> None:
    outputs = outputs_of(20, 8)
    outputs.probability[:] = outputs.label
    assert not distance(outputs).any()


@pytest.mark.parametrize("n", [6, 300])
def test_small_and_large_cohorts_fit_absent_sequences_and_odd_names_too(n: int) -> None:
    pictures = images(n)
    pictures[0] = np.nan
    sheet = grid_figure(pictures, outputs_of(n, n // 2, folds=2), [ODD] * n, ODD)
    columns = (sheet.width - 24) // PITCH[0]
    assert columns in (6, 7, 8)
    assert sheet.height >= HEAD + -(-n // columns) * PITCH[1]
