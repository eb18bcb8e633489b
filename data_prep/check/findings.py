"""What quality control has to say: one record a problem."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

SEVERITIES: Final = ("error", "warning", "note")
"""From what stops a study, over what is probably a mistake, to what one should know."""


@dataclass(frozen=True)
class Finding:
    """One problem of a cohort.

    Attributes:
        severity: A name of `SEVERITIES`.
        code: A short stable name of the kind of problem, such as "grid-differs"; other programs match it.
        where: File, row or participant, as every problem of the house is quoted.
        what: The law, then the value met.
        advice: What to do about it, one sentence.
        participant: Whom it concerns; None for the cohort as a whole.
        biopsies: Ids of the biopsies it concerns.
    """

    severity: str
    code: str
    where: str
    what: str
    advice: str
    participant: str | None = None
    biopsies: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """The finding as one line."""
        return f"{self.where}: {self.what} {self.advice}".strip()


def ranked(findings: Iterable[Finding]) -> list[Finding]:
    """The worst first, those of one severity in the order in which they came; repeats are dropped."""
    return sorted(dict.fromkeys(findings), key=lambda finding: SEVERITIES.index(finding.severity))
