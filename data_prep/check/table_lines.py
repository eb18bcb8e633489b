"""What reading the tables complained of, line by line, as findings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from data_prep.check.findings import Finding
from data_prep.check.subject import Subject
from data_prep.records import Biopsy

MOST: Final = 20
"""Findings of one kind, the last of which counts the rest: a table of logarithms has a million."""

_NO_IMAGE: Final = "no-image"
_WHERE = re.compile(r"(?P<where>.*?(?:: row \d+(?:, columns? [^:]+)?|cohort\.toml: [\w.]+)?): (?P<what>.*)")
_ROW = re.compile(r"^(?P<file>.+): row (?P<row>\d+)")

KINDS: Final[Mapping[str, tuple[str, str]]] = {
    r"expression cannot be negative": (
        "expression-negative",
        "TPM count molecules: was the table made of logarithms, z-scores or differences?",
    ),
    r"expression cannot exceed": ("expression-too-large", "TPM of a sample sum to one million."),
    r"must be unique, but got": ("duplicate-id", "Rename or remove one of the two rows."),
    r"at least one image of the biopsy": (
        _NO_IMAGE,
        "Put the images there, mend the path template or the id, or remove the row.",
    ),
    r"somebody must have '": ("sequence-absent", "Mend its name or the path template, or remove it."),
    r"somebody must have it": ("mask-absent", "Mend the path template, or remove it."),
    r"a number is needed": ("not-a-number", ""),
    r"a value is needed": ("value-missing", "Fill it in, or remove the row."),
    r"some row must name one of the biopsies": (
        "expression-unmatched",
        "Use the ids of the biopsy table in the expression table.",
    ),
    r"the column is required": ("column-missing", ""),
    r"tab-separated cells are needed": ("row-ragged", "Look for tabs too many or too few in it."),
    r"the file must be readable|UTF-8 text is needed": ("table-unreadable", ""),
    r"row is needed": ("table-empty", ""),
    r"unknown column": ("column-unknown", ""),
    r"a link |a plain file is needed|goes in a circle": ("link-refused", ""),
}
"""By what a line says, the code and the advice; a line that says what to do needs none."""


def line_findings(subject: Subject) -> Iterator[Finding]:
    """An error for each line of `subject.problems`, but of one kind at most `MOST`."""
    told: dict[str, list[Finding]] = {}
    for finding in _one_a_participant(_finding(subject, line) for line in subject.problems):
        told.setdefault(finding.code, []).append(finding)
    for findings in told.values():
        yield from findings[: MOST - 1]
        if len(findings) == MOST:
            yield findings[-1]
        elif len(findings) > MOST:
            yield _rest(findings[MOST - 1 :])


def _one_a_participant(findings: Iterable[Finding]) -> Iterator[Finding]:
    """The findings, those on biopsies of one participant without images as one."""
    alike: dict[object, list[Finding]] = {}
    for number, finding in enumerate(findings):
        key = finding.participant if finding.code == _NO_IMAGE and finding.participant else number
        alike.setdefault(key, []).append(finding)
    for first, *others in alike.values():
        if others:
            what = f"{first.what} So it is with the other {len(others)} of {first.participant}."
            ids = tuple(name for finding in (first, *others) for name in finding.biopsies)
            yield replace(first, what=what, biopsies=ids)
        else:
            yield first


def _rest(findings: list[Finding]) -> Finding:
    first = findings[0]
    what = f"{first.what} There are {len(findings) - 1} more such lines."
    return Finding(first.severity, first.code, first.where, what, first.advice)


def _finding(subject: Subject, line: str) -> Finding:
    match = _WHERE.fullmatch(line)
    where, what = match.group("where", "what") if match else (subject.cohort.name, line)
    code, advice = next((kind for law, kind in KINDS.items() if re.search(law, what)), ("table", ""))
    biopsy = _biopsy(subject, where)
    if biopsy is None:
        return Finding("error", code, where, what, advice)
    return Finding("error", code, where, what, advice, biopsy.participant_id, (biopsy.biopsy_id,))


def _biopsy(subject: Subject, where: str) -> Biopsy | None:
    """The biopsy whose row is named, if it is the biopsy table's."""
    found = _ROW.match(where)
    if found is None or found["file"] != subject.cohort.file.biopsies.rpartition("/")[2]:
        return None
    return next((b for b in subject.cohort.biopsies if b.row == int(found["row"])), None)
