from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

from search.metrics import DIRECTIONS
from search.statistics.fold_values import BASIS, fold_values, held_out_ratio
from search.statistics.predictions import Outputs


def outputs() -> Outputs:
    """Two repeats of three folds, scores that rank otherwise than the probabilities; fold 2 has one class."""
    rng = np.random.default_rng(0)
    fold = np.repeat([[0, 1, 2], [0, 1, 2]], 6, axis=1)
    label = np.tile([0, 1, 1, 0, 0, 1], 3)
    label[12:] = 1
    probability, score = rng.random((2, 18)), rng.random((2, 18))
    predicted = (probability > 0.6).astype(np.int64)
    return Outputs(np.stack([label, label]), np.arange(18) // 2, fold, score, probability, predicted)


def test_every_metric_of_a_search_can_be_compared() -> None:
    assert set(BASIS) == set(DIRECTIONS)


def test_each_fold_has_its_own_value_from_what_the_metric_looks_at() -> None:
    o = outputs()
    expected: dict[str, list[float]] = {
        name: [] for name in ("roc_auc", "accuracy", "f1", "brier", "log_loss")
    }
    for repeat in (0, 1):
        for fold in (0, 1, 2):
            rows = o.fold[repeat] == fold
            label, probability = o.label[repeat, rows], o.probability[repeat, rows]
            predicted = o.predicted[repeat, rows]
            auc = np.nan if fold == 2 else sk.roc_auc_score(label, o.score[repeat, rows])
            expected["roc_auc"].append(auc)
            expected["accuracy"].append(sk.accuracy_score(label, predicted))
            expected["f1"].append(sk.f1_score(label, predicted))
            expected["brier"].append(sk.brier_score_loss(label, probability))
            expected["log_loss"].append(sk.log_loss(label, probability, labels=[0, 1]))
    for name, values in expected.items():
        assert fold_values(o, name) == pytest.approx(values, nan_ok=True), name


def test_a_fifth_is_held_out_for_four_fifths() -> None:
    assert held_out_ratio(outputs()) == pytest.approx(1 / 2)
