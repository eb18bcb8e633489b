"""Whether anybody is on both sides of a split, by the ids of the tables."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping

from data_prep.folds import FoldTable
from search.audit.record import LEAK, PASSED, SUSPICIOUS, Check
from search.audit.subject import Subject
from search.booking import finished_folds

NAME = "participants"
Plain = tuple[str, ...]


def check_participants(subject: Subject) -> Check:
    """Disjoint participants in training and scoring of every split, also under ids that differ in spelling.

    The folds that the trials were really scored on are held against the table, too.
    """
    alike = spelt_alike(subject.participants)
    strays = list(_strays(subject))
    figures = {
        "tables": {name: len(table.fold) for name, table in subject.tables.items()},
        "splits": sum(len(table.splits()) for table in subject.tables.values()),
        "participants": len(set(subject.participants)),
        "ids_spelt_alike": [list(group) for group in alike],
        "folds_scored_on_other_biopsies": strays,
    }
    shared = [name for name, table in subject.tables.items() if _shares(table)]
    if shared or strays:
        where = f"the fold table of the {shared[0]}" if shared else f"trial {strays[0]['trial']}"
        text = f"In {where} participants are trained on and scored on at the same time."
        return Check(NAME, LEAK, text, figures=figures)
    apart = [group for group in alike if _is_separated(group, subject.tables)]
    if alike:
        group = (apart or alike)[0]
        named = " and ".join(f"{{{place}}}" for place in range(len(group)))
        beside = "stand on both sides of a split" if apart else "count as several"
        text = f"{named} look like one participant, spelt differently, and {beside}: merge them."
        return Check(NAME, LEAK if apart else SUSPICIOUS, text, group, figures)
    text = f"No participant is on both sides of any of {figures['splits']} splits."
    return Check(NAME, PASSED, text, figures=figures)


def spelt_alike(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Ids that differ only in case, in blanks and marks, or in zeros before a number, sorted.

    >>> spelt_alike(["sub-01", "Sub 1", "sub-10"])
    [('Sub 1', 'sub-01')]
    """
    groups: dict[Plain, set[str]] = {}
    for name in names:
        groups.setdefault(plain_id(name), set()).add(name)
    return sorted(tuple(sorted(group)) for group in groups.values() if len(group) > 1)


def plain_id(name: str) -> Plain:
    """The letters and numbers of an id, in one spelling.

    >>> plain_id("Sub_007"), plain_id("sub-7"), plain_id("sub-70")
    (('sub', '7'), ('sub', '7'), ('sub', '70'))
    """
    folded = unicodedata.normalize("NFKC", name).casefold()
    parts = re.findall(r"\d+|[^\W\d_]+", folded)
    return tuple(part.lstrip("0") or "0" if part.isdigit() else part for part in parts) or (name,)


def _shares(table: FoldTable) -> bool:
    names = table.participant_id
    return any({names[row] for row in s.train} & {names[row] for row in s.test} for s in table.splits())


def _is_separated(group: Iterable[str], tables: Mapping[str, FoldTable]) -> bool:
    """Whether ids lie in different folds of any table."""
    wanted = set(group)
    for table in tables.values():
        rows = [row for row, name in enumerate(table.participant_id) if name in wanted]
        if any(len(set(fold[rows].tolist())) > 1 for fold in table.fold):
            return True
    return False


def _strays(subject: Subject) -> Iterator[dict[str, int]]:
    """Recorded folds whose biopsies are not the ones that the table holds out there."""
    splits = {split.index: tuple(map(int, split.test)) for split in subject.splits}
    for trial in subject.trials:
        for fold in finished_folds(trial).values():
            if fold.rows != splits.get(fold.split):
                yield {"trial": trial.number, "split": fold.split}
