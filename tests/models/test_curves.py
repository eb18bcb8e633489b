import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss as sklearn_log_loss
from sklearn.metrics import roc_auc_score

from models.curves import log_loss, mean_loss, probability, roc_auc

scored = st.lists(st.tuples(st.integers(-8, 8), st.booleans()), min_size=2, max_size=40)


@given(scored)
def test_the_area_equals_that_of_scikit_learn_ties_included(pairs):
    score, label = (np.array(column, np.float64) for column in zip(*pairs, strict=True))
    if label.min() == label.max():
        assert roc_auc(score, label) is None
    else:
        assert roc_auc(score, label) == pytest.approx(roc_auc_score(label, score))


@given(scored)
def test_the_loss_equals_that_of_scikit_learn(pairs):
    logit, label = (np.array(column, np.float64) for column in zip(*pairs, strict=True))
    expected = sklearn_log_loss(label, probability(logit), labels=[0, 1])
    assert log_loss(logit, label) == pytest.approx(expected)


def test_a_perfect_ranking_has_area_one():
    assert roc_auc(np.array([0.1, 0.2, 0.9]), [0, 0, 1]) == 1.0


def test_the_loss_of_huge_log_odds_is_their_size():
    assert log_loss(np.array([-2000.0, 2000.0]), [1, 1]) == 1000.0


def test_certain_probabilities_stay_apart():
    near = probability(np.array([20.0, 25.0, -800.0]))
    assert near[0] < near[1] < 1
    assert near[2] == 0.0


@pytest.mark.parametrize(
    ("task", "expected"), [("classification", np.log(2)), ("regression", (1 + 4 + 0) / 3)]
)
def test_a_mean_loss_is_over_the_known_targets(task, expected):
    output = np.array([[0.0, 5.0], [0.0, 0.0]])
    target = np.array([[1.0, np.nan], [1.0, 0.0]])
    if task == "regression":
        target[1, 0] = -2.0
    assert mean_loss(output, target, task) == pytest.approx(expected)
