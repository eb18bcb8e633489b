"""Metrics beside those that a study searches for: of complete cases, and of further labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from data_prep.arrays import BoolArray
from data_prep.labels import UNKNOWN
from search.metrics import Scores, finite, pooled_metrics
from search.records import FoldResult

Metrics = dict[str, float | None]


def complete_cases(folds: Sequence[FoldResult], complete: Sequence[int] | None) -> dict[str, Any] | None:
    """The metrics over the biopsies that have every sequence, and how many these are; None where all have.

    Args:
        folds: What one trial said.
        complete: Their rows in the study's dataset.
    """
    if complete is None:
        return None
    rows = set(complete)
    kept = [_part(fold.scores, np.array([row in rows for row in fold.rows], dtype=bool)) for fold in folds]
    return {"biopsies": len(rows), "metrics": pooled_metrics([part for part in kept if len(part.label)])}


def further_labels(folds: Sequence[FoldResult]) -> dict[str, Metrics]:
    """The metrics of each label that models learn beside the one searched for, by its name."""
    names = folds[0].heads if folds else ()
    return {name: pooled_metrics([_scores(fold, fold.heads[name]) for fold in folds]) for name in names}


def summary_beside(folds: Sequence[FoldResult], complete: Sequence[int] | None) -> dict[str, float]:
    """Both as one flat table of those that are defined: "complete_cases.roc_auc", "CD8A.roc_auc"."""
    found = {name: finite(metrics) for name, metrics in further_labels(folds).items()}
    cases = complete_cases(folds, complete)
    if cases is not None and folds:
        found["complete_cases"] = finite(cases["metrics"])
    return {f"{name}.{key}": value for name, metrics in found.items() for key, value in metrics.items()}


def _scores(fold: FoldResult, head: Mapping[str, Any]) -> Scores:
    """A further label of one fold, where it is known."""
    label = np.array(head["labels"], dtype=np.int64)
    whole = Scores(
        label,
        np.array(head["probabilities"], dtype=np.float64),
        np.array(fold.participants, dtype=np.int64),
        float(head["threshold"]),
    )
    return _part(whole, label != UNKNOWN)


def _part(scores: Scores, kept: BoolArray) -> Scores:
    return Scores(scores.label[kept], scores.probability[kept], scores.participant[kept], scores.threshold)
