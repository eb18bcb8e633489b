"""Coordinates that only some sites show to be meant otherwise: a participant's, or a few that leave the head.

A wrong reading is plain where it takes most sites out of the part that they should lie in (`mixups`). Where
the world's origin lies inside the head, LPS read as RAS leaves most sites in it; what is left is that the few
outside, all of them, lie inside by one other reading, which loses none of the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from data_prep.arrays import BoolArray, IntArray
from data_prep.check.conventions import DECLARED, OTHERS, READINGS
from data_prep.check.findings import Finding
from data_prep.check.mixups import PARTS, inside_part, is_mixed_up, joined, placements_of
from data_prep.check.subject import Placement, Subject, Visited
from data_prep.problems import named

FAR: Final = 7.5
"""mm: three standard deviations of the targeting error per axis, 2.5 mm. Beyond it a site is off."""

_USUAL: Final = 3.85
"""mm: the median length of such an error; half of the sites of a tumour lie nearer to it."""

SEVERAL: Final = 3
"""Sites outside a part, from which it tells something that another reading brings in all of them: of 14
readings some brings in a single site by chance."""

_TUMOR: Final = 0.4  # share of a participant's sites that another reading must bring into the tumour
_FAR_ONES: Final = 2  # of `SEVERAL` sites or more, those beyond `FAR`
_HINTS: Final = 3


@dataclass(frozen=True, eq=False)
class Few:
    """Sites outside a part that one reading brings back into it, all of them.

    Attributes:
        reading: Its name.
        part: Of `PARTS`.
        biopsies: Ids of the sites.
        sites: How many there are in all.
    """

    reading: str
    part: str
    biopsies: tuple[str, ...]
    sites: int


def some_findings(subject: Subject) -> Iterator[Finding]:
    """Findings on the coordinates of participants, and of the few sites of a cohort that show a mix-up."""
    if is_mixed_up(subject):
        return
    visits = [finding for visited in subject.visits if (finding := of_visit(visited)) is not None]
    yield from visits
    few = None if visits else of_few(subject)
    if few is not None:
        yield _of_few(subject, few)


def is_told(subject: Subject) -> bool:
    """Whether `some_findings` explains the sites outside a part of the whole cohort."""
    return not any(map(of_visit, subject.visits)) and of_few(subject) is not None


def of_visit(visited: Visited) -> Finding | None:
    """A participant none of whose sites is where it should be, while by another reading they are.

    Looked for in the tumour, else in the brain, the head and the image, into which all must come.
    """
    placement = visited.placement
    if placement is None:
        return None
    for part in PARTS:
        inside = inside_part(placement, part)
        if inside is None:
            continue
        if inside[DECLARED].any():
            return None
        best = max(OTHERS, key=lambda name: int(inside[name].sum()))
        count, sites = int(inside[best].sum()), len(inside[DECLARED])
        least = _TUMOR * sites if part == "tumor" else sites
        if count >= max(2, least) and _is_far(placement, part):
            return _of_visit(visited, placement, part, best, count)
    return None


def _is_far(placement: Placement, part: str) -> bool:
    """Whether the sites of a visit are farther from a part than a targeting error explains."""
    if part == "image":
        return True
    return bool(np.median(placement.regions[part].gap) > (_USUAL if part == "tumor" else FAR))


def _of_visit(visited: Visited, placement: Placement, part: str, best: str, count: int) -> Finding:
    reading, sites = READINGS[best], len(visited.biopsies)
    off = (
        "" if part == "image" else f"; they are {np.median(placement.regions[part].gap):.0f} mm off (median)"
    )
    return Finding(
        "warning" if placement.inside[DECLARED].all() else "error",
        "left-right-flip" if reading.mirrors else "coordinates-mixed-up",
        visited.participant,
        f"sites should lie in the {PARTS[part]}, but none of {sites} does{off}. If these coordinates are "
        f"{reading.words}, {count} do.",
        reading.advice if reading.mirrors else "Mend the coordinates of this participant.",
        visited.participant,
        visited.ids,
    )


def of_few(subject: Subject) -> Few | None:
    """Several sites outside the brain, the head or the image that one reading brings in, and loses none."""
    placements = placements_of(subject)
    for part in ("brain", "head", "image"):
        counted = joined(placements, part)
        if not counted:
            continue
        outside: BoolArray = ~counted[DECLARED]
        far = sum(int(_beyond(placement, part).sum()) for placement in placements)
        if outside.sum() < SEVERAL or far < _FAR_ONES:
            continue
        whole = [name for name in OTHERS if counted[name].all()]
        if whole:
            return Few(whole[0], part, _ids(subject, part, outside), len(outside))
    return None


def _beyond(placement: Placement, part: str) -> BoolArray:
    """Which sites lie outside a part by more than an error."""
    outside = ~placement.inside[DECLARED]
    region = placement.regions.get(part)
    return outside if region is None else outside | (region.gap > FAR)


def _ids(subject: Subject, part: str, chosen: BoolArray) -> tuple[str, ...]:
    known = [
        v for v in subject.visits if v.placement is not None and inside_part(v.placement, part) is not None
    ]
    names = [name for visited in known for name in visited.ids]
    return tuple(name for name, is_chosen in zip(names, chosen, strict=True) if is_chosen)


def _of_few(subject: Subject, few: Few) -> Finding:
    reading = READINGS[few.reading]
    leaves = any(not placement.inside[DECLARED].all() for placement in placements_of(subject))
    return Finding(
        "error" if leaves else "warning",
        "left-right-flip" if reading.mirrors else "coordinates-mixed-up",
        f"{subject.cohort.root.name}: [coordinates] of cohort.toml",
        f"sites should lie in the {PARTS[few.part]}, but {len(few.biopsies)} of {few.sites} do not "
        f"({named(few.biopsies)}). If they are {reading.words}, all {few.sites} do.",
        f"{reading.advice} If only these sites are wrong, mend them.",
        None,
        few.biopsies,
    )


def inside_if(placement: Placement, place: int, part: str) -> str:
    """By which other readings a site would lie in a part, in words; empty where by none.

    Args:
        placement: Of a visit.
        place: Of the site among its biopsies.
        part: Of `PARTS`; for the image, the brain or the head is asked for where it is known.
    """
    wanted = (
        next((p for p in ("brain", "head") if p in placement.regions), "image") if part == "image" else part
    )
    words = returning(inside_part(placement, wanted) or {}, np.array([place]))
    return f"; it lies in the {PARTS[wanted]} if the coordinates are {words}" if words else ""


def returning(inside: Mapping[str, BoolArray], places: IntArray) -> str:
    """The first few readings that bring all of some sites into a part, in words."""
    names = [name for name in OTHERS if name in inside and inside[name][places].all()]
    return " or ".join(READINGS[name].words for name in names[:_HINTS])
