"""The variance of an AUC whose biopsies come in clusters, one a participant."""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from search.metrics import Doubles, Ints
from search.statistics.predictions import Booleans


def clustered_auc(label: Ints, score: Doubles, participant: Ints) -> tuple[float | None, float | None]:
    """The AUC over all pairs of a positive and a negative biopsy, and its variance.

    With A the AUC and V a biopsy's mean concordance with the other class, `a_p` sums V - A over the positives
    of participant p and `b_p` over the negatives. Of I participants, I1 have a positive and I0 a negative:

    `Var = I1/(I1-1) sum a_p^2/M^2 + I0/(I0-1) sum b_p^2/N^2 + 2 I/(I-1) sum a_p b_p/(MN)`

    for M positives and N negatives. It is never negative. One biopsy a participant gives DeLong's variance.
    It holds for scores of one model on participants it was not trained on. On cross-validated predictions
    it is too small, as their models share training data.

    Args:
        label: 0 or 1, shape (n,).
        score: By which biopsies are ranked, shape (n,).
        participant: A number per participant, shape (n,).

    Returns:
        The AUC, None where a class is missing; its variance, None where fewer than two participants have a
        class.

    References:
        Obuchowski 1997, "Nonparametric analysis of clustered ROC curve data", Biometrics 53, 567-578.
    """
    positive = label == 1
    if positive.all() or not positive.any():
        return None, None
    concordance = _concordance(score, positive)
    auc = float(concordance[positive].mean())
    who, code = np.unique(participant, return_inverse=True)
    excess = concordance - auc
    parts = [
        np.bincount(code[of_class], excess[of_class], len(who)) / of_class.sum()
        for of_class in (positive, ~positive)
    ]
    having = [len(np.unique(code[of_class])) for of_class in (positive, ~positive)]
    if min(having) < 2:
        return auc, None
    own = sum(i / (i - 1) * float(part @ part) for i, part in zip(having, parts, strict=True))
    return auc, own + 2 * len(who) / (len(who) - 1) * float(parts[0] @ parts[1])


def _concordance(score: Doubles, positive: Booleans) -> Doubles:
    """The share of the other class that each biopsy is ranked rightly against, ties half; from ranks."""
    all_ranks = rankdata(score)
    result = np.empty(len(score))
    for of_class, sign in ((positive, 1), (~positive, -1)):
        others = int((~of_class).sum())
        below = (all_ranks[of_class] - rankdata(score[of_class])) / others  # of the other class, ties half
        result[of_class] = below if sign == 1 else 1 - below
    return result
