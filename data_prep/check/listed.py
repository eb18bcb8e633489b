"""Whom the biopsy table names, in the rows that were rejected too: what they own is not a stranger's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from data_prep.check.subject import Subject
from data_prep.plain_files import MAX_TABLE_BYTES, read_text

_IDS = ("biopsy_id", "participant_id")


def listed(subject: Subject) -> Mapping[str, set[str]] | None:
    """Values of the biopsy table by column; None where the table cannot be read.

    Rows with too many or too few cells count as far as their cells go.
    """
    cohort = subject.cohort
    if not subject.problems:
        names = {name for biopsy in cohort.biopsies for name in biopsy.columns}
        return {name: {biopsy.columns.get(name, "") for biopsy in cohort.biopsies} for name in names}
    path = cohort.root / cohort.file.biopsies
    return _columns(path) if cohort.places.at(path, cohort.file.biopsies).usable else None


def _columns(path: Path) -> Mapping[str, set[str]] | None:
    try:
        head, *body = read_text(path, MAX_TABLE_BYTES).split("\n")
    except (OSError, UnicodeDecodeError):
        return None
    columns = [cell.strip() for cell in head.split("\t")]
    if not set(_IDS) <= set(columns):
        return None
    rows = [[cell.strip() for cell in line.split("\t")] for line in body if line.strip()]
    return {name: {row[n] for row in rows if n < len(row)} for n, name in enumerate(columns)}
