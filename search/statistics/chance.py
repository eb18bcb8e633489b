"""What an answer reaches that knows nothing of the images."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import entr

from search.metrics import Doubles

# By the share of positives. The AUCs have theirs by symmetry. The others are those of the best constant in
# hindsight, which a model without information cannot be expected to pass: the Brier score of the prevalence
# (the reference of the Brier skill score), its entropy, the larger class' share, and F1 of always saying 1.
_LEVELS: dict[str, Callable[[Doubles], Doubles]] = {
    "roc_auc": lambda share: np.full_like(share, 0.5),
    "within_participant_auc": lambda share: np.full_like(share, 0.5),
    "accuracy": lambda share: np.maximum(share, 1 - share),
    "f1": lambda share: 2 * share / (1 + share),
    "brier": lambda share: share * (1 - share),
    "log_loss": lambda share: np.asarray(entr(share) + entr(1 - share)),
}


def chance_level(metric: str, positive: Doubles, negative: Doubles) -> Doubles:
    """The metric of the best constant answer for biopsies of these classes; 0.5 for an AUC.

    Args:
        metric: A name of `search.metrics.DIRECTIONS`.
        positive: How many are positive, shape (b,).
        negative: How many are not, shape (b,); both together above 0.

    Returns:
        Shape (b,).
    """
    return _LEVELS[metric](positive / (positive + negative))
