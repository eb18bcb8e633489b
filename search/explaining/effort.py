"""How finely a model is explained: as finely as can be done in a stated time, and no finer in silence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

LIMIT_SECONDS: Final = 120.0
"""What explaining may take by its forecast, unless even the coarsest way takes longer."""


@dataclass(frozen=True)
class Effort:
    """What is asked of a model.

    Attributes:
        blocks: Along each axis of a patch, an odd number.
        each: Whether every block is covered in each sequence alone, beside in all sequences together.
        draws: Exchanges of each sequence.
    """

    blocks: int
    each: bool
    draws: int

    def copies(self, sequences: int, edge: int) -> int:
        """How many changed copies of each biopsy are asked of.

        Args:
            sequences: How many the model reads.
            edge: Of the patches, in voxels.
        """
        blocks = min(self.blocks, edge) ** 2
        return blocks * (1 + self.each * sequences) + sequences * (1 + self.draws)


WAYS: Final = (
    Effort(5, True, 99),
    Effort(5, True, 19),
    Effort(3, True, 19),
    Effort(5, False, 19),
    Effort(3, False, 19),
)
"""From fine to coarse; 19 exchanges are the fewest by which a p-value can be as low as 5 %."""


@dataclass(frozen=True)
class Chosen:
    """The way that was taken.

    Attributes:
        effort: What is asked.
        seconds: What it takes by forecast.
        limit: What it might have taken.
    """

    effort: Effort
    seconds: float
    limit: float

    @property
    def words(self) -> str:
        """What is asked, and why no more, in a sentence."""
        effort = self.effort
        where = "in each sequence and in all at once" if effort.each else "in all sequences at once"
        asked = (
            f"{effort.blocks} x {effort.blocks} blocks {where}, whole sequences alone, and {effort.draws} "
            "exchanges of each sequence"
        )
        if effort == WAYS[0]:
            return f"{asked}."
        return f"{asked}; anything finer would take longer than {self.limit:g} s."


def choose(biopsies: int, sequences: int, edge: int, seconds: float, limit: float = LIMIT_SECONDS) -> Chosen:
    """The finest way that keeps to the limit, else the coarsest.

    Args:
        biopsies: How many are held out in all.
        sequences: How many the model reads.
        edge: Of the patches, in voxels.
        seconds: That a model takes for one patch.
        limit: In seconds.
    """
    forecasts = [biopsies * way.copies(sequences, edge) * seconds for way in WAYS]
    place = next((n for n, forecast in enumerate(forecasts) if forecast <= limit), len(WAYS) - 1)
    return Chosen(WAYS[place], forecasts[place], limit)
