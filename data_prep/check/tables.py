"""What is wrong with the tables of a cohort, and between them and the files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np

from data_prep.arrays import DoubleArray
from data_prep.check.expression import expression_findings
from data_prep.check.findings import Finding
from data_prep.check.listed import listed
from data_prep.check.subject import Subject, Visited
from data_prep.check.table_lines import line_findings
from data_prep.check.unlisted import unlisted
from data_prep.problems import named
from data_prep.records import Biopsy, Cohort

_SEPARATORS = re.compile(r"[\s_.-]+")
_ZEROS = re.compile(r"(?<!\d)0+(?=\d)")


def table_findings(subject: Subject) -> Iterator[Finding]:
    """Findings on the tables, and on participants whom only the tables or only the files know."""
    yield from line_findings(subject)
    yield from expression_findings(subject.cohort)
    for visit in subject.visits:
        yield from _same_place(subject.cohort, visit)
    yield from _ids(subject.cohort)
    known = listed(subject)
    if known is not None:
        yield from _without_biopsies(subject.cohort, known)
        yield from _unmatched(subject.cohort, known["biopsy_id"] if known else set())


def plain_id(name: str) -> str:
    """An id as careless hands write it: without case, padding by zeros, and the kind of separator.

    >>> plain_id("Sub-007") == plain_id("sub_7"), plain_id("1-11") == plain_id("11-1")
    (True, False)
    """
    parts = _SEPARATORS.sub("-", name.strip()).casefold()
    return _ZEROS.sub("", parts.removeprefix("sub-"))


def _same_place(cohort: Cohort, visit: Visited) -> Iterator[Finding]:
    """Biopsies of one participant at one place, a warning; or nearer than a voxel, a note."""
    biopsies, grid = visit.biopsies, None if visit.placement is None else visit.placement.grid
    to_mm: DoubleArray = np.eye(3)
    if grid is not None and cohort.coordinates.space == "voxel":
        to_mm = grid.affine[:3, :3]
    equal, near = [], []
    for one, other in combinations(biopsies, 2):
        if one.participant_id != other.participant_id or one.biopsy_id == other.biopsy_id:
            continue
        apart = float(np.linalg.norm(to_mm @ np.subtract(one.position, other.position)))
        if apart == 0:
            equal.append((one, other))
        elif grid is not None and apart < float(grid.voxel_size.min()):
            near.append((one, other, apart))
    for one, other in equal:
        yield _told_place(cohort, one, other)
    if near:
        yield _told_near(cohort, near)


def _told_place(cohort: Cohort, one: Biopsy, other: Biopsy) -> Finding:
    return Finding(
        "warning",
        "duplicate-biopsy",
        f"{cohort.file.biopsies}: row {other.row}, columns x, y, z",
        f"biopsies must lie apart, but '{other.biopsy_id}' has the coordinates of '{one.biopsy_id}' "
        f"(row {one.row}).",
        "Mend the coordinates, or keep one of the two: both would see the same patch.",
        other.participant_id,
        (one.biopsy_id, other.biopsy_id),
    )


def _told_near(cohort: Cohort, pairs: Sequence[tuple[Biopsy, Biopsy, float]]) -> Finding:
    one, other, apart = min(pairs, key=lambda pair: pair[2])
    more = f", as do {len(pairs) - 1} more pairs" if len(pairs) > 1 else ""
    return Finding(
        "note",
        "biopsies-close",
        f"{cohort.file.biopsies}: row {other.row}, columns x, y, z",
        f"biopsies should lie a voxel apart, but '{other.biopsy_id}' lies {apart:.2g} mm from "
        f"'{one.biopsy_id}'{more}.",
        "Their patches are nearly the same.",
        other.participant_id,
        tuple(dict.fromkeys(b.biopsy_id for pair in pairs for b in pair[:2])),
    )


def _alike(names: Iterable[str]) -> list[list[str]]:
    """Different ids that one hand may have written for one thing."""
    groups: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        groups.setdefault(plain_id(name), []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def _ids(cohort: Cohort) -> Iterator[Finding]:
    for column, names in (
        ("participant_id", [b.participant_id for b in cohort.biopsies]),
        ("biopsy_id", [b.biopsy_id for b in cohort.biopsies]),
    ):
        for group in _alike(names):
            mine = [b for b in cohort.biopsies if b.columns[column] in group]
            yield Finding(
                "warning",
                "ids-alike",
                f"{cohort.file.biopsies}: row {mine[-1].row}, column {column}",
                f"ids must differ by more than case, separators and zeros, but there are {named(group)}.",
                "If they are one, write them alike: who has two ids is in training and in scoring.",
                group[-1] if column == "participant_id" else mine[-1].participant_id,
                tuple(biopsy.biopsy_id for biopsy in mine),
            )


def _without_biopsies(cohort: Cohort, listed: Mapping[str, set[str]]) -> Iterator[Finding]:
    known = {plain_id(name): name for name in cohort.participants}
    for name, paths in unlisted(cohort, listed).items():
        meant = known.get(plain_id(name))
        advice = f"Is it '{meant}' of the table?" if meant else "Add the biopsies, or move the images away."
        yield Finding(
            "warning",
            "participant-without-biopsies",
            cohort.label_of(paths[0].parent),
            f"every participant with images should have a biopsy, but {cohort.file.biopsies} has none of "
            f"'{name}' ({len(paths)} images).",
            advice,
            name,
        )


def _unmatched(cohort: Cohort, known_ids: set[str]) -> Iterator[Finding]:
    """Biopsies without expression and the reverse: notes, but a warning where their ids are alike."""
    table = cohort.expression
    if table is None:
        return
    sound = [biopsy.biopsy_id for biopsy in cohort.biopsies]
    known = np.asarray(np.isfinite(table.values).any(axis=1))
    measured = {name for name, row in zip(table.biopsy_id, known, strict=True) if row}
    lacking = [name for name in sound if name not in measured]
    strange = [name for name in table.biopsy_id if name not in known_ids]
    for group in _alike([*lacking, *strange]):
        if set(group) & set(lacking) and set(group) & set(strange):
            yield _mistyped(cohort, table.file, group)
    if lacking and np.isfinite(table.values).any():
        what = f"{len(lacking)} of {len(sound)} biopsies have no expression, such as {named(lacking, 3)}."
        advice = "They are kept out of training, and can be predicted on."
        yield Finding("note", "biopsies-without-expression", table.file, what, advice, None, tuple(lacking))
    if strange:
        what = f"{len(strange)} of {len(table.biopsy_id)} rows are of no biopsy, such as {named(strange, 3)}."
        yield Finding("note", "expression-without-biopsy", table.file, what, "They are not used.")


def _mistyped(cohort: Cohort, file: str, group: Sequence[str]) -> Finding:
    owner = {biopsy.biopsy_id: biopsy.participant_id for biopsy in cohort.biopsies}
    mine = [name for name in group if name in owner]
    return Finding(
        "warning",
        "ids-alike",
        file,
        f"the two tables must write an id alike, but there are {named(group)}.",
        f"Write '{mine[0]}' in both, else the biopsy has no expression.",
        owner[mine[0]],
        tuple(mine),
    )
