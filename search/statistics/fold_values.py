"""A metric in each fold, as comparisons of two models on the same folds need it."""

from __future__ import annotations

import numpy as np

from search.metrics import Doubles, Scores, fold_metrics
from search.statistics.predictions import Outputs

# What of a model's outputs each metric looks at.
BASIS = {
    "roc_auc": "score",
    "within_participant_auc": "score",
    "accuracy": "predicted",
    "f1": "predicted",
    "brier": "probability",
    "log_loss": "probability",
}


def fold_values(outputs: Outputs, metric: str) -> Doubles:
    """The metric in each fold of each repeat, in order.

    Args:
        outputs: What was predicted.
        metric: A name of `search.metrics.DIRECTIONS`.

    Returns:
        Shape (folds,); NaN where it is undefined.
    """
    basis = np.asarray(getattr(outputs, BASIS[metric]), dtype=np.float64)
    values = []
    for label, fold, told in zip(outputs.label, outputs.fold, basis, strict=True):
        for rows in (np.flatnonzero(fold == name) for name in np.unique(fold)):
            # A predicted label is its own probability, on the right side of a half.
            scores = Scores(label[rows], told[rows], outputs.participant[rows], threshold=0.5)
            values.append(fold_metrics(scores)[metric])
    return np.array(values, dtype=np.float64)


def held_out_ratio(outputs: Outputs) -> float:
    """Biopsies held out for each that a model is trained on, in the mean over the folds."""
    return 1 / (len(np.unique(outputs.fold[0])) - 1)
