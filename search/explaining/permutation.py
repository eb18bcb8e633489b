"""Which sequences a model needs: what its within-fold AUC loses when one is exchanged between biopsies.

References:
    Breiman L (2001), "Random Forests", section 10; Fisher A, Rudin C, Dominici F (2019), "All models are
    wrong, but many are useful", JMLR 20: the loss of performance when what a model reads is permuted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from data_prep.arrays import DoubleArray
from data_prep.labels import UNKNOWN
from search.explaining.changed import exchanged
from search.explaining.held_out import HeldOut, pieces
from search.metrics import count_pairs

SEED = 0


@dataclass(frozen=True)
class Loss:
    """What exchanging one sequence costs.

    Attributes:
        drop: AUC as it is less the mean AUC after the exchanges; exactly 0 where no exchange changes a rank.
        error: Standard error of that mean over the exchanges: what another set of as many exchanges might
            move it by, not what other biopsies would.
        p_value: `(1 + #{AUC after >= AUC as it is}) / (1 + exchanges)`: how often the fixed models would rank
            these biopsies as well if this sequence were another biopsy's of the fold. It is no test of
            whether the model predicts anything, nor of whether it could do without the sequence.
    """

    drop: float
    error: float
    p_value: float


@dataclass(frozen=True)
class Permutation:
    """What exchanging each sequence costs in one label.

    Attributes:
        roc_auc: Within folds, of the biopsies as they are; None where no fold holds both classes.
        losses: Of each sequence; none without an AUC.
    """

    roc_auc: float | None
    losses: tuple[Loss, ...]


def permute(
    parts: Sequence[HeldOut], draws: int, step: Callable[[int], None] = lambda _: None, seed: int = SEED
) -> tuple[Permutation, ...]:
    """Exchange each sequence between the biopsies held out of the same fold.

    The same exchanges serve every sequence, so that two sequences differ in nothing else.

    Args:
        parts: The folds.
        draws: Exchanges of each sequence, at least 2.
        step: Called with the number of changed copies that are done.
        seed: Of the exchanges.

    Returns:
        One for each label.
    """
    told = [_counted(part, draws, step, seed) for part in parts]
    total = np.sum([one.total for one in told], axis=0)
    before = np.sum([one.before for one in told], axis=0)
    after = np.sum([one.after for one in told], axis=0)
    return tuple(_lost(*counts) for counts in zip(total, before, after, strict=True))


class _Counted(NamedTuple):
    """Pairs of a positive and a negative biopsy of one fold, for K labels; ties are half ranked rightly.

    Attributes:
        total: All of them, shape (K,).
        before: Those ranked rightly as the biopsies are, shape (K,).
        after: Those ranked rightly after each exchange, shape (K, C, draws).
    """

    total: DoubleArray
    before: DoubleArray
    after: DoubleArray


def _counted(part: HeldOut, draws: int, step: Callable[[int], None], seed: int) -> _Counted:
    rng = np.random.default_rng([seed, part.fold])
    orders = np.stack([rng.permutation(len(part)) for _ in range(draws)])
    total, before = _pairs(part, part.logits(part.patches))
    after = np.empty((len(total), len(part.patches.sequences), draws))
    for sequence in range(after.shape[1]):
        for piece in pieces(draws, part.at_once()):
            said = part.logits(exchanged(part.patches, sequence, orders[piece]))
            after[:, sequence, piece] = _pairs(part, said)[1]
            step(said.shape[0] * said.shape[1])
    return _Counted(total, before[:, 0], after)


def _pairs(part: HeldOut, logits: DoubleArray) -> tuple[DoubleArray, DoubleArray]:
    """All pairs of each label, (K,), and those that d answers of shape (d, m, K) rank rightly: (K, d)."""
    total, right = [], []
    for label, truth in enumerate(part.labels.T):
        known = truth != UNKNOWN
        pairs = [count_pairs(truth[known], answer[known, label]) for answer in logits]
        total.append(float(pairs[0].total))
        right.append([one.concordant for one in pairs])
    return np.array(total), np.array(right)


def _lost(total: float, before: float, after: DoubleArray) -> Permutation:
    """The loss of AUC in one label, over the pairs of all folds; `after` has the shape (C, draws)."""
    if not total:
        return Permutation(None, ())
    losses = []
    for drops in (before - after) / total:
        error = float(drops.std(ddof=1) / np.sqrt(len(drops)))
        losses.append(Loss(float(drops.mean()), error, float((1 + np.sum(drops <= 0)) / (1 + len(drops)))))
    return Permutation(float(before / total), tuple(losses))
