from __future__ import annotations

import numpy as np
import pytest

from search.metrics import add_pairs, count_pairs
from search.report.winners_curse import expected_maximum, null_error


def test_the_expected_maximum_is_that_of_simulated_draws() -> None:
    draws = np.random.default_rng(0).normal(size=(20000, 50))
    simulated = np.maximum.accumulate(draws, axis=1).mean(axis=0)
    np.testing.assert_allclose(expected_maximum(50), simulated, atol=0.02)


@pytest.mark.parametrize("metric", ["roc_auc", "within_participant_auc"])
def test_the_error_without_signal_is_that_of_random_scores(make_fold, metric) -> None:
    rng = np.random.default_rng(0)
    folds = [make_fold(k, labels=tuple(map(int, rng.integers(0, 2, 16)))) for k in range(3)]
    groups = []
    for fold in folds:
        label, person = np.array(fold.labels), np.array(fold.participants)
        groups += [label] if metric == "roc_auc" else [label[person == one] for one in np.unique(person)]
    values = [add_pairs(count_pairs(g, rng.random(len(g))) for g in groups).auc for _ in range(4000)]
    assert null_error(folds, metric) == pytest.approx(np.std(values), rel=0.05)


def test_repeats_add_nothing_and_other_metrics_or_no_pair_have_no_error(make_fold) -> None:
    folds = [make_fold(0), make_fold(1, repeat=1)]
    assert null_error(folds, "roc_auc") == null_error(folds[:1], "roc_auc")
    assert null_error(folds, "brier") is None
    assert null_error([make_fold(0, labels=(1,) * 16)], "roc_auc") is None
