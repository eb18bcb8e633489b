"""How much a model leans on each sequence: what its within-fold AUC loses when that sequence is another's.

The trial is fitted once more on each fold, as it was; its held-out biopsies are then scored as they are, and
again with one sequence exchanged among them.

References:
    Breiman L (2001), Random Forests, section 10: permutation importance; here on held-out biopsies.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from data_prep.files import whole_file
from data_prep.folds import FoldTable
from search.metrics import Pairs, add_pairs, count_pairs
from search.records import FoldResult, TrialConfig
from search.refits.fit import Fit, Shuffle

COPIES = 10  # exchanges of each sequence: their mean strays a third as far as one of them
FILE = "importance.json"


@dataclass(frozen=True)
class Importance:
    """The loss of AUC by sequence.

    Attributes:
        trial: The trial that was fitted once more.
        seed: Of the exchanges.
        copies: Exchanges of each sequence.
        context: What it depends on beside the trial, see `search.refits.fit.context_of`.
        roc_auc: Within folds, of the biopsies as they are.
        sequences: Names.
        drops: For each sequence the loss in each fold that has both classes, a mean over the exchanges.
        total: For each sequence the loss over the pairs of all folds.
    """

    trial: int
    seed: int
    copies: int
    context: str
    roc_auc: float | None
    sequences: tuple[str, ...]
    drops: tuple[tuple[float, ...], ...]
    total: tuple[float | None, ...]

    @property
    def order(self) -> tuple[int, ...]:
        """The sequences, the one that costs most first, those of equal cost by name."""
        return tuple(
            sorted(range(len(self.sequences)), key=lambda i: (-(self.total[i] or 0.0), self.sequences[i]))
        )


def exchanges(test: Sequence[int], sequences: Sequence[str], copies: int, seed: int) -> tuple[Shuffle, ...]:
    """For each sequence `copies` permutations of the held-out rows, the copies of one sequence in a row.

    The same permutations serve every sequence, so that two sequences differ in nothing else.
    """
    rng = np.random.default_rng(seed)
    orders = [tuple(map(int, rng.permutation(np.asarray(test)))) for _ in range(copies)]
    return tuple(Shuffle(sequence, rows) for sequence in sequences for rows in orders)


def importance_fits(
    config: TrialConfig, folds: FoldTable, sequences: Sequence[str], copies: int = COPIES, seed: int = 0
) -> list[Fit]:
    """The fits of a trial's folds, each with the exchanges to score beside its held-out biopsies."""
    fits = []
    for split in folds.splits():
        fit = Fit.of(config, split)
        shuffles = exchanges(fit.test, sequences, copies, _fold_seed(seed, split.index))
        fits.append(
            Fit(fit.config, fit.seed, fit.repeat, fit.fold, fit.split, fit.train, fit.test, None, shuffles)
        )
    return fits


def measure(
    results: Sequence[FoldResult],
    sequences: Sequence[str],
    trial: int,
    context: str,
    copies: int = COPIES,
    seed: int = 0,
) -> Importance:
    """The losses, from what the fits of `importance_fits` gave.

    Args:
        results: A fold each; its rows are listed once as they are, then once an exchange.
        sequences: In the order of the exchanges.
        trial: The trial that was fitted.
        context: What the fits depend on.
        copies: Exchanges of each sequence.
        seed: Of the exchanges.

    Raises:
        ValueError: A fold has another number of copies.
    """
    whole, changed = [], [list[list[Pairs]]() for _ in sequences]
    for result in results:
        pairs = _pairs(result, 1 + copies * len(sequences))
        whole.append(pairs[0])
        for place in range(len(sequences)):
            changed[place].append(pairs[1 + place * copies : 1 + (place + 1) * copies])
    auc = add_pairs(whole).auc
    drops, total = [], []
    for copied in changed:
        drops.append(tuple(_loss(w, c) for w, c in zip(whole, copied, strict=True) if w.total))
        after = add_pairs(pair for fold in copied for pair in fold).auc
        total.append(None if auc is None or after is None else auc - after)
    return Importance(trial, seed, copies, context, auc, tuple(sequences), tuple(drops), tuple(total))


def write_importance(found: Importance, folder: Path) -> None:
    """Keep it with the study."""
    with whole_file(folder / FILE) as draft:
        draft.write_text(json.dumps(asdict(found), indent=1, allow_nan=False) + "\n", encoding="utf-8")


def read_importance(folder: Path) -> Importance | None:
    """What `write_importance` wrote; None where there is nothing that can be read."""
    try:
        fields = json.loads((folder / FILE).read_text(encoding="utf-8"))
        fields |= {"sequences": tuple(fields["sequences"]), "total": tuple(fields["total"])}
        return Importance(**{**fields, "drops": tuple(map(tuple, fields["drops"]))})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _fold_seed(seed: int, split: int) -> int:
    return int(np.random.SeedSequence([seed, split]).generate_state(1)[0])


def _pairs(result: FoldResult, copies: int) -> list[Pairs]:
    """The pairs of each copy of the held-out biopsies."""
    if len(result.rows) % copies:
        raise ValueError(
            f"{copies} copies of the held-out biopsies are needed, but got {len(result.rows)} rows"
        )
    labels = np.array(result.labels, dtype=np.int64).reshape(copies, -1)
    probabilities = np.array(result.probabilities, dtype=np.float64).reshape(copies, -1)
    return [count_pairs(label, score) for label, score in zip(labels, probabilities, strict=True)]


def _loss(whole: Pairs, copied: Sequence[Pairs]) -> float:
    before, after = whole.auc, add_pairs(copied).auc
    return 0.0 if before is None or after is None else before - after
