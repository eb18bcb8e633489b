from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from search.statistics.draws import NoDrawsError, draw_participants, times_drawn
from search.statistics.sums import Sums
from tests.search.statistics.plainly import make_predictions


def test_draws_are_of_as_many_participants_and_the_same_for_the_same_seed() -> None:
    drawn = times_drawn(45, 4000, 0)
    assert drawn.shape == (4000, 45)
    assert set(drawn.sum(axis=1)) == {45}
    assert np.mean(drawn == 0) == pytest.approx((1 - 1 / 45) ** 45, abs=0.005)
    assert np.array_equal(drawn, times_drawn(45, 4000, 0))
    assert not np.array_equal(drawn, times_drawn(45, 4000, 1))


def test_a_generator_goes_on_where_it_was() -> None:
    """Draws that are made in parts are those of one go: recorded estimates depend on it."""
    rng = np.random.default_rng(3)
    parts = [times_drawn(9, 20, rng), times_drawn(9, 30, rng)]
    assert np.array_equal(np.concatenate(parts), times_drawn(9, 50, 3))


def test_as_many_are_drawn_as_there_are_and_about_a_third_are_not() -> None:
    sums = Sums("roc_auc", make_predictions(participants=45, folds=5))
    drawn = draw_participants(sums, 4000, seed=0)
    assert drawn.shape == (4000, 45)
    assert set(drawn.sum(axis=1)) == {45.0}
    assert np.mean(drawn == 0) == pytest.approx((1 - 1 / 45) ** 45, abs=0.005)
    assert drawn.mean(axis=0) == pytest.approx(np.ones(45), abs=0.1)


@pytest.mark.parametrize("metric", ["roc_auc", "within_participant_auc", "accuracy"])
def test_both_sides_of_each_draw_have_both_classes_and_a_metric(metric: str) -> None:
    predictions = make_predictions(participants=6, folds=2)
    sums = Sums(metric, predictions)
    for times in draw_participants(sums, 200, seed=1):
        for side in (times > 0, times == 0):
            rows = side[predictions.participant]
            assert set(predictions.label[0, rows]) == {0, 1}
        assert sums.is_defined(np.array([times, times == 0], float)).all()


def test_the_seed_decides() -> None:
    sums = Sums("roc_auc", make_predictions())
    first, again, other = (draw_participants(sums, 50, seed) for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_one_participant_cannot_be_drawn_from() -> None:
    predictions = make_predictions(participants=1, folds=1)
    with pytest.raises(NoDrawsError, match="at least 2 participants must have been held out, but there is 1"):
        draw_participants(Sums("brier", predictions), 10, seed=0)


def test_one_positive_participant_cannot_be_on_both_sides() -> None:
    predictions = make_predictions()
    alone = (predictions.participant == 0).astype(np.int64)[None]
    with pytest.raises(NoDrawsError, match="of 12 participants fewer do"):
        draw_participants(Sums("brier", replace(predictions, label=alone)), 10, seed=0)
