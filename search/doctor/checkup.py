"""What `radsearch doctor` found, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

SHOWN = ("study", "problem", "subject", "action", "mended")


@dataclass(frozen=True)
class Finding:
    """Something that was not as it should be.

    Attributes:
        study: The study; empty where it concerns the whole home.
        problem: What kind of problem.
        subject: Where: a trial, a fold, a run, a file.
        action: What mends it, as a past participle ("ended as FAILED"); where nothing does, why.
        mended: Whether that was done.
        possible: Whether it could be.
    """

    study: str
    problem: str
    subject: str
    action: str
    mended: bool = True
    possible: bool = True

    @property
    def not_done(self) -> Finding:
        """The same, not mended yet."""
        return replace(self, mended=False)

    def impossible(self, reason: str) -> Finding:
        """The same, which cannot be mended."""
        return replace(self, mended=False, possible=False, action=reason)


@dataclass
class Report:
    """All findings of one examination.

    Attributes:
        home: The home examined.
        dry_run: Whether nothing was to be changed.
        findings: What was found.
        notes: What cannot be judged, and what was let be since somebody works on it.
        cut_short: Whether something could not be examined.
    """

    home: str
    dry_run: bool
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    cut_short: bool = False

    def add(self, *findings: Finding) -> None:
        """Note findings; in a dry run nothing was mended."""
        self.findings += [finding.not_done for finding in findings] if self.dry_run else findings

    def not_examined(self, study: str, subject: str, reason: str) -> None:
        """Note what could not be looked at, as storage or MLflow is gone."""
        self.findings.append(Finding(study, "not examined", subject, "").impossible(reason))
        self.cut_short = True

    @property
    def exit_code(self) -> int:
        """0 where everything agrees now, 1 where something is left, 3 where something was not examined."""
        return 3 if self.cut_short else int(any(not finding.mended for finding in self.findings))

    def to_json(self) -> dict[str, Any]:
        """The report as `--json` prints it."""
        return {
            "home": self.home,
            "dry_run": self.dry_run,
            "findings": [{name: getattr(finding, name) for name in SHOWN} for finding in self.findings],
            "notes": self.notes,
            **self._counts(),
        }

    def lines(self) -> list[str]:
        """A line a finding, the notes, and a summary."""
        lines = [self._line(finding) for finding in self.findings]
        return [*lines, *self.notes, self._summary()]

    def _line(self, finding: Finding) -> str:
        where = f"{finding.study}: " if finding.study else ""
        return f"{where}{finding.subject}: {finding.problem}: {self._becomes(finding)}{finding.action}"

    def _becomes(self, finding: Finding) -> str:
        if not finding.possible:
            return "cannot be mended: "
        if self.dry_run:
            return "would be "
        return "" if finding.mended else "not mended: it should have been "

    def _summary(self) -> str:
        counts = self._counts()
        if not counts["found"]:
            return "nothing to mend"
        if self.dry_run:
            return f"{counts['found']} found; without --dry-run they are mended"
        return f"{counts['found']} found, {counts['mended']} mended"

    def _counts(self) -> dict[str, int]:
        found: Sequence[Finding] = self.findings
        return {"found": len(found), "mended": sum(finding.mended for finding in found)}
