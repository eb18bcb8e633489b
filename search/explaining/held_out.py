"""The biopsies that a fold's models never learned from, and asking these models of changed copies of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from data_prep.arrays import DoubleArray, FloatArray, IntArray
from data_prep.features import FeatureTable
from data_prep.patch_set import PatchSet
from search.deployment.ensemble import log_odds
from search.deployment.records import Shown

Speaker = Callable[[Shown], DoubleArray]
"""From what is shown of m places to the probabilities of K labels, shape (m, K)."""

# Changed copies that are asked of at once.
_BYTES = 2**26


@dataclass(frozen=True, eq=False)
class HeldOut:
    """What one fold of a model is asked of.

    Attributes:
        fold: Its number.
        rows: The biopsies held out, m rows of the study's dataset.
        participant: The participant of each, an index; shape (m,).
        labels: 0, 1 or `data_prep.labels.UNKNOWN`, by the fold's own cuts; shape (m, K).
        patches: Of these biopsies, by the model's request.
        neutral: What their sequences are covered with, as `changed.neutral_values` gives it; shape (m, C).
        location: Where each biopsy is in the brain; None where no member reads it.
        speaker: The ensemble of the fold's members.
    """

    fold: int
    rows: IntArray
    participant: IntArray
    labels: IntArray
    patches: PatchSet
    neutral: FloatArray
    location: FeatureTable | None
    speaker: Speaker

    def __len__(self) -> int:
        return len(self.rows)

    def logits(self, copies: PatchSet) -> DoubleArray:
        """Log-odds of each label of changed copies of the biopsies.

        Args:
            copies: d times m patches, those of a copy in a row.

        Returns:
            Shape (d, m, K).
        """
        times = len(copies) // max(len(self), 1)
        location = self.location
        if location is not None:
            location = FeatureTable(np.tile(location.values, (times, 1)), location.names)
        said = self.speaker(Shown(copies, location))
        return log_odds(said).reshape(times, len(self), -1)

    def at_once(self) -> int:
        """How many changed copies of the biopsies fit into the memory that one question may take."""
        size = max(sum(array.nbytes for array in self.patches.arrays().values()), 1)
        return max(1, _BYTES // size)


def pieces(count: int, size: int) -> Iterator[slice]:
    """The numbers from 0 to count, so many at a time.

    >>> list(pieces(5, 2))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    return (slice(start, min(start + size, count)) for start in range(0, count, size))
