"""What one should know of labels before believing a model of them: balance, ties, zeros."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from data_prep.labels import Labels


@dataclass(frozen=True)
class LabelSummary:
    """Counts of one label over n biopsies.

    Attributes:
        name: Of what.
        biopsies: How many have the label.
        positive: How many of them are above the cut.
        threshold: The cut, in units of the score.
        at_threshold: How many scores equal the cut, and so are negative by the rule of "above".
        tied: How many biopsies share their score with another one.
        zeros: How many have a gene that was measured as exactly 0; None of a score that is no expression.
        mixed: Participants with both labels: only they tell anything of differences within a brain.
        participants: How many there are.
    """

    name: str
    biopsies: int
    positive: int
    threshold: float
    at_threshold: int
    tied: int
    zeros: int | None
    mixed: int
    participants: int

    def as_json(self) -> dict[str, Any]:
        """The counts as plain data."""
        return asdict(self)

    @property
    def line(self) -> str:
        """The counts in words."""
        parts = [
            f"{self.name}: {self.positive} of {self.biopsies} biopsies above {self.threshold:.4g}",
            f"both labels in {self.mixed} of {self.participants} participants",
        ]
        if self.at_threshold:
            parts.append(f"{self.at_threshold} exactly at the cut count as below")
        if self.tied:
            parts.append(f"{self.tied} share their value with others")
        if self.zeros:
            parts.append(f"{self.zeros} are exactly zero")
        return "; ".join(parts)


def summarise(labels: Labels, participants: Sequence[str]) -> tuple[LabelSummary, ...]:
    """Count each of the labels, by the cuts of the whole cohort.

    Args:
        labels: Of n biopsies.
        participants: Whose each is, n ids.
    """
    who = np.array(participants)
    summaries = []
    for number, head in enumerate(labels.heads(np.arange(len(who)))):
        known = ~np.isnan(head.value)
        value, label = head.value[known], head.label[known]
        _, counts = np.unique(value, return_counts=True)
        measured = labels.tpm[:, [number]] if len(labels.definition.heads) > 1 else labels.tpm
        summaries.append(
            LabelSummary(
                name=head.name,
                biopsies=len(value),
                positive=int(label.sum()),
                threshold=head.threshold,
                at_threshold=int((value == head.cut).sum()),
                tied=int(counts[counts > 1].sum()),
                zeros=int((measured == 0).any(axis=1).sum()) if measured.size else None,
                mixed=sum(len(set(label[who[known] == one])) == 2 for one in set(who[known])),
                participants=len(set(who[known])),
            )
        )
    return tuple(summaries)
