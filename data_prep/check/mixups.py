"""Coordinates that are meant otherwise than cohort.toml says: another reading explains the sites better.

Sites are counted in the tumour masks, else in the brain masks, in the head, in the image. The tumour tells
most: it is small, so that hardly any site falls into it by a wrong reading. Nothing can be told where sites
fall into the part by either reading, as voxels counted from 1 and from 0 do.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from data_prep.arrays import BoolArray
from data_prep.check.conventions import DECLARED, FROM_ONE, OTHERS, READINGS
from data_prep.check.findings import Finding
from data_prep.check.subject import Placement, Subject
from data_prep.geometry import stored_voxel

PARTS: Final = {"tumor": "tumour mask", "brain": "brain mask", "head": "head", "image": "image"}
"""What sites are counted in, the most telling first, and in words."""

# Share of the sites that another reading must explain, and the share of these that the declared one may. In a
# phantom of 48 voxels with an error of 2.5 mm per axis half of the sites fall into the small tumours.
_LIMITS: Final = {"tumor": (0.4, 0.5), "brain": (0.9, 0.8), "head": (0.9, 0.8), "image": (0.9, 0.8)}
_CHANCE: Final = 0.05  # of the sign test
_SLIGHT: Final = 0.02  # of that for a count from 1 in the tumour, which sites near a rim suggest by chance


@dataclass(frozen=True, eq=False)
class MixUp:
    """A reading that explains sites better than the declared one.

    Attributes:
        reading: Its name.
        part: Of `PARTS`, in which they were counted.
        declared: How many fall into it by what cohort.toml says,
        other: and by the reading,
        sites: of how many.
        rivals: Other readings that explain as many.
    """

    reading: str
    part: str
    declared: int
    other: int
    sites: int
    rivals: tuple[str, ...]


def mixup_findings(subject: Subject) -> Iterator[Finding]:
    """Findings on the coordinates of the whole cohort; on those that some sites show `some_sites` tells."""
    mixup = cohort_mixup(subject)
    if mixup is not None:
        yield of_cohort(subject, mixup)
    elif one_based := counted_from_one(subject):
        yield _one_based(subject, one_based)
    elif slight := perhaps_from_one(subject):
        yield _perhaps(subject, slight)


def is_mixed_up(subject: Subject) -> bool:
    """Whether the coordinates of the cohort are in doubt, so that no single site can be told wrong."""
    return cohort_mixup(subject) is not None or bool(counted_from_one(subject))


def cohort_mixup(subject: Subject) -> MixUp | None:
    """The reading that explains the sites of a cohort clearly better than the declared one, if one does."""
    placements = placements_of(subject)
    for part, (least, most) in _LIMITS.items():
        counted = joined(placements, part)
        if not counted or not len(counted[DECLARED]):
            continue
        # Sites that a reading explains in this part, then in the others.
        told = [counted, *filter(None, (joined(placements, other) for other in PARTS if other != part))]
        ranks = {name: tuple(int(each[name].sum()) for each in told) for name in OTHERS}
        best = max(ranks, key=lambda name: ranks[name])
        other, declared = int(counted[best].sum()), int(counted[DECLARED].sum())
        sites = len(counted[DECLARED])
        won = int((counted[best] & ~counted[DECLARED]).sum())
        lost = int((counted[DECLARED] & ~counted[best]).sum())
        if other >= least * sites and declared <= most * other and sign_test(won, lost) < _CHANCE:
            rivals = tuple(name for name, rank in ranks.items() if name != best and rank == ranks[best])
            return MixUp(best, part, declared, other, sites, rivals)
    return None


def placements_of(subject: Subject) -> list[Placement]:
    """Of the visits that have one."""
    return [visited.placement for visited in subject.visits if visited.placement is not None]


def joined(placements: Sequence[Placement], part: str) -> Mapping[str, BoolArray]:
    """By reading, which sites fall into a part, of the visits that have it."""
    parts = [inside for placement in placements if (inside := inside_part(placement, part)) is not None]
    return {name: np.concatenate([inside[name] for inside in parts]) for name in READINGS} if parts else {}


def inside_part(placement: Placement, part: str) -> Mapping[str, BoolArray] | None:
    """By reading, which sites of a visit fall into a part of `PARTS`; None where it is not known."""
    if part == "image":
        return placement.inside
    region = placement.regions.get(part)
    return None if region is None else region.inside


def sign_test(won: int, lost: int) -> float:
    """Chance of as many wins or more in `won + lost` fair throws.

    >>> sign_test(5, 0)
    0.03125
    """
    total = won + lost
    return float(sum(math.comb(total, wins) for wins in range(won, total + 1)) / 2**total)


def counted_from_one(subject: Subject) -> list[str]:
    """Biopsies whose voxel index equals the number of voxels, where all indices fit a count from 1.

    A count from 1 shows where a site lies on the last voxel: its index is one too large. Elsewhere it moves a
    site by one voxel, which only the tumours of many sites can tell (`perhaps_from_one`).
    """
    if subject.cohort.coordinates.space != "voxel":
        return []
    beyond = []
    for visited in subject.visits:
        if visited.placement is None:
            continue
        shape = np.array(visited.placement.grid.shape)
        for biopsy in visited.biopsies:
            index = stored_voxel(visited.placement.grid, biopsy.position, subject.cohort.coordinates)
            if (index < 1).any() or (index > shape).any():
                return []
            if (index == shape).any():
                beyond.append(biopsy.biopsy_id)
    return beyond


def perhaps_from_one(subject: Subject) -> MixUp | None:
    """A count from 1, where clearly more sites fall into the tumours by it."""
    counted = joined(placements_of(subject), "tumor")
    if subject.cohort.coordinates.space != "voxel" or not counted:
        return None
    declared, other = counted[DECLARED], counted[FROM_ONE]
    won, lost = int((other & ~declared).sum()), int((declared & ~other).sum())
    if sign_test(won, lost) >= _SLIGHT:
        return None
    return MixUp(FROM_ONE, "tumor", int(declared.sum()), int(other.sum()), len(declared), ())


def _where(subject: Subject) -> str:
    return f"{subject.cohort.root.name}: [coordinates] of cohort.toml"


def _stated(subject: Subject) -> str:
    coordinates = subject.cohort.coordinates
    if coordinates.space == "voxel":
        return 'space = "voxel"'
    return f'space = "world", convention = "{coordinates.convention}"'


def of_cohort(subject: Subject, mixup: MixUp) -> Finding:
    """The finding on a whole cohort."""
    reading = READINGS[mixup.reading]
    rivals = [READINGS[name].words for name in mixup.rivals]
    more = f" So many are too if they are {' or '.join(rivals)}." if rivals else ""
    return Finding(
        "error",
        "left-right-flip" if reading.mirrors else "coordinates-mixed-up",
        _where(subject),
        f"sites should lie in the {PARTS[mixup.part]}, but by {_stated(subject)} {mixup.declared} of "
        f"{mixup.sites} do. If they are {reading.words}, {mixup.other} do.{more}",
        reading.advice,
        None,
        tuple(name for visited in subject.visits for name in visited.ids),
    )


def _one_based(subject: Subject, biopsies: Sequence[str]) -> Finding:
    equal = f"indices of {len(biopsies)} sites equal"
    if len(biopsies) == 1:
        equal = f"an index of '{biopsies[0]}' equals"
    return Finding(
        "error",
        "counted-from-one",
        _where(subject),
        f"voxel indices count from 0, but {equal} the number of voxels, and none is 0: they seem to count "
        "from 1.",
        "If so, subtract 1 from x, y and z.",
        None,
        tuple(biopsies),
    )


def _perhaps(subject: Subject, mixup: MixUp) -> Finding:
    return Finding(
        "note",
        "counted-from-one",
        _where(subject),
        f"voxel indices count from 0; so {mixup.declared} of {mixup.sites} sites lie in the tumour mask, but "
        f"{mixup.other} would if they were counted from 1.",
        "Find out how the indices were counted; if from 1, subtract 1 from x, y and z.",
    )
