from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.metrics import DIRECTIONS, Scores, pooled_metrics
from search.statistics import sums as module
from search.statistics.predictions import Outputs
from search.statistics.sums import Answers, Sums, ratio
from tests.search.statistics.plainly import copies, make_predictions, metric_of


@pytest.mark.parametrize("metric", DIRECTIONS)
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6), repeats=st.integers(1, 3), data=st.data())
def test_a_participant_drawn_twice_is_two_participants(
    metric: str, seed: int, repeats: int, data: st.DataObject
) -> None:
    """Against scikit-learn on the biopsies written out as often as they were drawn."""
    predictions = make_predictions(seed, configurations=2, participants=6, repeats=repeats)
    times = data.draw(st.lists(st.integers(0, 3), min_size=6, max_size=6).filter(any))
    multiplicity = np.array([times, times], float)
    sums = Sums(metric, predictions)
    both = Answers(
        *(np.concatenate(parts) for parts in zip(*map(flat, (0, 1), [predictions] * 2), strict=True))
    )
    numerator, denominator = sums.totals(sums.tally(both), multiplicity[:1])
    pooled = ratio(numerator.sum(axis=0), denominator.sum(axis=0))[0]
    for c, value in enumerate(sums.each(both, multiplicity)):
        expected = metric_of(predictions.outputs(c), metric, copies(times))
        for ours in (value, pooled[c]):
            assert np.isnan(ours) if expected is None else ours == pytest.approx(expected)


def flat(c: int, predictions: module.Predictions) -> tuple[np.ndarray, ...]:
    answers = Answers.of(predictions.outputs(c))
    return answers.score, answers.probability, answers.predicted


@pytest.mark.parametrize("metric", DIRECTIONS)
def test_everybody_once_is_the_metric_that_trials_are_told(metric: str) -> None:
    predictions = make_predictions(repeats=2)
    folds = []
    for repeat, fold in enumerate(predictions.fold):
        for k in np.unique(fold):
            rows = fold == k
            probability, threshold = (
                a[3, repeat, rows] for a in (predictions.probability, predictions.threshold)
            )
            label, who = predictions.label[repeat, rows], predictions.participant[rows]
            folds.append(Scores(label, probability, who, float(threshold[0])))
    expected = pooled_metrics(folds)[metric]
    assert Sums(metric, predictions).value(predictions.outputs(3)) == pytest.approx(expected)


def outputs(label: list[int], score: list[float], participant: list[int], fold: list[int]) -> Outputs:
    values = np.array([score], float)
    called = (values > 0.5).astype(np.int64)
    return Outputs(np.array([label]), np.array(participant), np.array([fold]), values, values, called)


def test_pairs_of_two_copies_of_a_participant_count() -> None:
    """p has a positive below its negative; drawn twice, 4 wrong pairs of its own and 2 right ones with q."""
    model = outputs([1, 0, 0], [0.4, 0.6, 0.1], [7, 7, 9], [0, 0, 0])
    drawn = np.array([[2.0, 1.0]])
    assert Sums("roc_auc", model).each(Answers.of(model), drawn)[0] == pytest.approx(2 / 6)
    assert Sums("within_participant_auc", model).each(Answers.of(model), drawn)[0] == 0.0


def test_what_cannot_be_compared_is_undefined() -> None:
    """The only positive lies in a fold of its own."""
    model = outputs([1, 0, 0], [0.4, 0.6, 0.1], [0, 1, 2], [0, 1, 1])
    everybody = np.ones((1, 3))
    assert Sums("roc_auc", model).value(model) is None
    assert not Sums("roc_auc", model).is_defined(everybody)[0]
    assert Sums("brier", model).is_defined(everybody)[0]
    assert not Sums("brier", model).is_defined(np.array([[0.0, 2.0, 1.0]]))[0]


def test_chunks_cover_the_draws_once_and_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    sums = Sums("roc_auc", make_predictions())
    monkeypatch.setattr(module, "CHUNK", 2000)
    chunks = [list(range(10))[chunk] for chunk in sums.chunks(10, 200)]
    assert [i for chunk in chunks for i in chunk] == list(range(10))
    assert max(map(len, chunks)) == 2000 // (200 * sums.folds)
