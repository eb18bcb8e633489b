from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from search.beside import complete_cases, further_labels, summary_beside
from search.metrics import pooled_metrics
from search.records import FoldResult


def fold_of(number: int, rows: list[int], seed: int) -> FoldResult:
    rng = np.random.default_rng(seed)
    labels = [row % 2 for row in rows]
    head = {
        "labels": [-1, *[(row // 2) % 2 for row in rows[1:]]],
        "probabilities": rng.random(len(rows)).tolist(),
        "threshold": 0.4,
        "label_threshold": 1.0,
    }
    return FoldResult(
        number, 0, number, tuple(rows), tuple(row // 3 for row in rows), tuple(labels),
        tuple(rng.random(len(rows))), 0.5, 1.0, {}, 1, 0.1, 1, 1, "CPU", 1.0, heads={"CD8A": head},
    )  # fmt: skip


FOLDS = [fold_of(0, list(range(12)), 0), fold_of(1, list(range(12, 24)), 1)]


def without(fold: FoldResult, rows: set[int]) -> FoldResult:
    """The fold as if some biopsies had never been there."""
    kept = [k for k, row in enumerate(fold.rows) if row not in rows]
    names = ("rows", "participants", "labels", "probabilities")
    return replace(fold, **{name: tuple(getattr(fold, name)[k] for k in kept) for name in names})


def test_complete_cases_are_scored_as_if_the_others_were_not_there() -> None:
    lacking = {1, 2, 13, 20}
    found = complete_cases(FOLDS, [row for row in range(24) if row not in lacking])
    assert found is not None
    wanted = pooled_metrics([without(fold, lacking).scores for fold in FOLDS])
    assert (found["biopsies"], found["metrics"]) == (20, wanted)
    assert found["metrics"] != pooled_metrics([fold.scores for fold in FOLDS])


def test_a_cohort_in_which_nobody_lacks_a_sequence_has_no_cases_beside() -> None:
    assert complete_cases(FOLDS, None) is None
    assert "complete_cases.roc_auc" not in summary_beside(FOLDS, None)


def test_a_fold_without_complete_cases_adds_nothing() -> None:
    found = complete_cases(FOLDS, list(range(12)))
    assert found is not None
    assert found["metrics"] == pooled_metrics([FOLDS[0].scores])


def test_further_labels_are_scored_where_they_are_known() -> None:
    found = further_labels(FOLDS)["CD8A"]
    pairs = wins = 0.0
    for fold in FOLDS:
        head = fold.heads["CD8A"]
        said = list(zip(head["labels"], head["probabilities"], strict=True))
        for one, high in said:
            for other, low in said:
                if (one, other) == (1, 0):
                    pairs, wins = pairs + 1, wins + (high > low)
    assert found["roc_auc"] == pytest.approx(wins / pairs)
    assert summary_beside(FOLDS, None)["CD8A.roc_auc"] == found["roc_auc"]
    assert further_labels([]) == {}
