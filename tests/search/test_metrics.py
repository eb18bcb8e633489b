from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from search.metrics import (
    DIRECTIONS,
    Scores,
    count_pairs,
    fold_metrics,
    matching_threshold,
    pairs_within_participants,
    pooled_metrics,
)


def scores(label: list[int], probability: list[float], participant: list[int] | None = None) -> Scores:
    people = participant if participant is not None else list(range(len(label)))
    return Scores(np.array(label), np.array(probability), np.array(people), threshold=0.5)


labelled = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.7, 1.0]), st.integers(0, 3)),
    min_size=2,
    max_size=40,
).filter(lambda rows: 0 < sum(row[0] for row in rows) < len(rows))


@given(labelled)
def test_the_metrics_of_a_fold_are_scikit_learns(rows: list[tuple[int, float, int]]) -> None:
    label, probability, people = (list(column) for column in zip(*rows, strict=True))
    fold = scores(label, probability, people)
    ours = fold_metrics(fold)
    assert ours["roc_auc"] == pytest.approx(sk.roc_auc_score(label, probability))
    assert ours["brier"] == pytest.approx(sk.brier_score_loss(label, probability))
    assert ours["accuracy"] == pytest.approx(sk.accuracy_score(label, fold.predicted))
    assert ours["f1"] == pytest.approx(sk.f1_score(label, fold.predicted))
    clipped = np.clip(probability, 1e-7, 1 - 1e-7)
    assert ours["log_loss"] == pytest.approx(sk.log_loss(label, clipped))


@given(labelled)
def test_pairs_within_participants_are_those_of_a_double_loop(rows: list[tuple[int, float, int]]) -> None:
    right, total = 0.0, 0
    for label, probability, person in rows:
        for other, lower, somebody in rows:
            if (label, other) == (1, 0) and person == somebody:
                total += 1
                right += 1.0 if probability > lower else 0.5 if probability == lower else 0.0
    pairs = pairs_within_participants(scores(*(list(column) for column in zip(*rows, strict=True))))
    assert (pairs.concordant, pairs.total) == (right, total)


def test_folds_with_shifted_scores_are_ranked_within_themselves() -> None:
    """Each fold ranks perfectly, but the second calls everything likelier: a pooled ranking would suffer."""
    first, second = scores([0, 1], [0.1, 0.2]), scores([0, 1], [0.8, 0.9])
    assert pooled_metrics([first, second])["roc_auc"] == 1.0
    both = count_pairs(np.array([0, 1, 0, 1]), np.array([0.1, 0.2, 0.8, 0.9]))
    assert both.auc == 0.75


def test_the_pooled_auc_weighs_folds_by_their_pairs() -> None:
    small, large = scores([0, 1], [0.9, 0.1]), scores([0, 0, 0, 1], [0.1, 0.2, 0.3, 0.4])
    assert pooled_metrics([small, large])["roc_auc"] == pytest.approx((0 + 3) / (1 + 3))


def test_a_metric_that_is_undefined_is_none() -> None:
    one_class = fold_metrics(scores([0, 0], [0.2, 0.3]))
    assert one_class["roc_auc"] is None
    assert one_class["within_participant_auc"] is None
    assert one_class["f1"] is None
    assert one_class["brier"] is not None
    assert set(pooled_metrics([]).values()) == {None}


def test_a_fold_of_one_class_leaves_the_pooled_auc_to_the_others() -> None:
    assert pooled_metrics([scores([0, 0], [0.2, 0.3]), scores([0, 1], [0.1, 0.9])])["roc_auc"] == 1.0


def test_certainty_that_is_wrong_costs_much_but_not_infinitely() -> None:
    assert fold_metrics(scores([0, 1], [1.0, 1.0]))["log_loss"] == pytest.approx(-np.log(1e-7) / 2, rel=1e-6)


@given(labelled)
def test_the_matching_threshold_calls_as_many_positive_as_there_are(
    rows: list[tuple[int, float, int]],
) -> None:
    label = np.array([row[0] for row in rows])
    probability = np.linspace(0.05, 0.95, len(rows))
    assert (probability > matching_threshold(label, probability)).sum() == label.sum()


def test_without_both_classes_the_threshold_is_one_half() -> None:
    assert matching_threshold(np.array([1, 1]), np.array([0.8, 0.9])) == 0.5


def test_every_metric_has_a_direction_and_every_direction_a_metric() -> None:
    assert set(fold_metrics(scores([0, 1], [0.2, 0.8]))) == set(DIRECTIONS)
