from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from search.metrics import DIRECTIONS
from search.statistics.chance import chance_level


def of_constant(metric: str, label: list[int], constant: float) -> float:
    if metric == "brier":
        return float(sk.brier_score_loss(label, [constant] * len(label)))
    if metric == "log_loss":
        return float(sk.log_loss(label, [constant] * len(label), labels=[0, 1]))
    score = sk.f1_score if metric == "f1" else sk.accuracy_score
    return float(score(label, [int(constant > 0.5)] * len(label)))


@pytest.mark.parametrize("metric", ["brier", "log_loss", "accuracy", "f1"])
@settings(max_examples=15, deadline=None)
@given(positive=st.integers(1, 30), negative=st.integers(1, 30))
def test_it_is_the_best_constant_answer(metric: str, positive: int, negative: int) -> None:
    label = [1] * positive + [0] * negative
    tried = [of_constant(metric, label, constant) for constant in np.linspace(0.05, 0.95, 10)]
    share = of_constant(metric, label, positive / len(label))
    best = max([*tried, share]) if DIRECTIONS[metric] == "maximize" else min([*tried, share])
    level = chance_level(metric, np.array([float(positive)]), np.array([float(negative)]))
    assert level == pytest.approx(best)


@pytest.mark.parametrize("metric", ["roc_auc", "within_participant_auc"])
def test_an_auc_has_its_own_by_symmetry(metric: str) -> None:
    assert chance_level(metric, np.array([3.0, 1.0]), np.array([1.0, 9.0])).tolist() == [0.5, 0.5]


def test_every_metric_has_a_level() -> None:
    levels = [chance_level(metric, np.ones(1), np.ones(1))[0] for metric in DIRECTIONS]
    assert levels == pytest.approx([0.5, 0.5, 0.5, 2 / 3, 0.25, np.log(2)])
