"""What an audit found: a verdict and a sentence a check, as a file beside the study."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from data_prep.files import whole_file
from search.home import StudyFolder

PASSED = "passed"
LEAK = "leak"
SUSPICIOUS = "suspicious"
NOT_APPLICABLE = "not applicable"
NOT_CHECKED = "not checked"
VERDICTS = (LEAK, SUSPICIOUS, NOT_CHECKED, PASSED, NOT_APPLICABLE)
"""The worst first."""


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes:
        name: What was looked at.
        verdict: One of `VERDICTS`.
        text: One sentence, with "{0}", "{1}" where ids of participants go.
        ids: Those ids, the cohort's own.
        figures: Numbers behind it, plain data.
    """

    name: str
    verdict: str
    text: str
    ids: tuple[str, ...] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)

    @property
    def sentence(self) -> str:
        """The sentence with the ids in it.

        >>> Check("participants", LEAK, "{0} and {1} are one participant.", ("a", "b")).sentence
        'a and b are one participant.'
        """
        return self.text.format(*self.ids) if self.ids else self.text


@dataclass(frozen=True)
class Audit:
    """All checks of one study.

    Attributes:
        study: Its name.
        made: When, UTC, ISO 8601.
        seconds: How long it took.
        hashes: sha256 of the protocol, the patches, the labels and the fold table that were audited.
        versions: The software, by package.
        checks: In the order in which they were made.
    """

    study: str
    made: str
    seconds: float
    hashes: Mapping[str, str]
    versions: Mapping[str, str]
    checks: tuple[Check, ...]

    @property
    def leaks(self) -> tuple[Check, ...]:
        """The checks that found a leak."""
        return self.having(LEAK)

    @property
    def suspicions(self) -> tuple[Check, ...]:
        """The checks that found what may be none."""
        return self.having(SUSPICIOUS)

    def having(self, verdict: str) -> tuple[Check, ...]:
        """The checks with a verdict."""
        return tuple(check for check in self.checks if check.verdict == verdict)

    def renamed(self, names: Mapping[str, str]) -> Audit:
        """The same with ids replaced, for what leaves this machine.

        Args:
            names: What each participant's and biopsy's own id is to be called.
        """
        checks = tuple(
            replace(check, ids=tuple(_renamed(check.ids, names)), figures=_renamed(check.figures, names))
            for check in self.checks
        )
        return replace(self, checks=checks)

    def to_json(self) -> dict[str, Any]:
        """The audit as plain data, a `sentence` with each check."""
        checks = [
            {**asdict(check), "ids": list(check.ids), "sentence": check.sentence} for check in self.checks
        ]
        return {**asdict(self), "checks": checks}

    @classmethod
    def from_json(cls, table: Mapping[str, Any]) -> Audit:
        """The audit that `to_json` made."""
        checks = tuple(
            Check(one["name"], one["verdict"], one["text"], tuple(one["ids"]), one["figures"])
            for one in table["checks"]
        )
        return cls(**{**table, "checks": checks})


def audit_path(folder: StudyFolder) -> Path:
    """Where a study's audit is kept."""
    return folder.root / "audit.json"


def write_audit(folder: StudyFolder, audit: Audit) -> None:
    """Keep the audit with its study, in place of an earlier one; it names the cohort's own ids."""
    with whole_file(audit_path(folder)) as draft:
        draft.write_text(json.dumps(audit.to_json(), indent=2, allow_nan=False) + "\n", encoding="utf-8")


def read_audit(folder: StudyFolder) -> Audit | None:
    """The audit of a study; None where there is none, or none that this version wrote."""
    try:
        return Audit.from_json(json.loads(audit_path(folder).read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return names.get(value, value)
    if isinstance(value, Mapping):
        return {_renamed(key, names): _renamed(entry, names) for key, entry in value.items()}
    if isinstance(value, Sequence):
        return [_renamed(entry, names) for entry in value]
    return value
