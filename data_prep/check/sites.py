"""Single biopsies that lie where none should: outside the image, the masks, the head; far from the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Final

import numpy as np

from data_prep.arrays import BoolArray
from data_prep.check.conventions import DECLARED, READINGS
from data_prep.check.findings import Finding
from data_prep.check.mixups import PARTS, is_mixed_up, joined
from data_prep.check.some_sites import FAR, SEVERAL, inside_if, is_told, of_visit, returning
from data_prep.check.subject import Placement, Subject, Visited
from data_prep.problems import named
from data_prep.records import Biopsy

ALONE: Final = 40.0
"""mm to the nearest other site of a participant; of 220 published biopsies none is farther than 29."""

EXCEPTIONS: Final = 0.125
"""Share of the sites that lie beside the tumour, up to which they are exceptions worth a note. A targeting
error of 2.5 mm takes 17 % and more of the sites out of the tumours of phantoms, where no single one is worth
a look; of 220 published biopsies 10 % lie beside the lesion."""

_MANY: Final = 40  # sites, from which such a share means something
_LISTED: Final = 40  # of a note on many sites
_HALF: Final = 0.5
_CODES: Final = {"tumor": "site-outside-tumor", "brain": "site-outside-brain", "head": "site-in-air"}
_ADVICE: Final = {
    "tumor": "Was it taken elsewhere on purpose? If not, look at it in the gallery (--out) and mend x, y, z.",
    "brain": "Look at it in the gallery (--out), and mend x, y, z or the mask.",
    "head": "Look at it in the gallery (--out), and mend x, y, z.",
}


def site_findings(subject: Subject) -> Iterator[Finding]:
    """Findings on single sites; none that coordinates in doubt explain, the cohort's or a participant's."""
    yield from _fractions(subject)
    if is_mixed_up(subject) or is_told(subject):
        return
    sound = [visited for visited in subject.visits if of_visit(visited) is None]
    for visited in sound:
        if visited.placement is not None:
            yield from _outside_image(subject, visited, visited.placement)
            yield from _outside_parts(subject, visited, visited.placement)
            yield from _alone(subject, visited, visited.placement)
    yield from _beside(subject, sound)


def _row(subject: Subject, biopsy: Biopsy) -> str:
    return f"{subject.cohort.file.biopsies}: row {biopsy.row}"


def _told(subject: Subject, biopsy: Biopsy, kind: tuple[str, str], what: str, advice: str) -> Finding:
    return Finding(*kind, _row(subject, biopsy), what, advice, biopsy.participant_id, (biopsy.biopsy_id,))


def _outside_image(subject: Subject, visited: Visited, placement: Placement) -> Iterator[Finding]:
    shape = placement.grid.canonical_shape
    for place in np.flatnonzero(~placement.inside[DECLARED]):
        biopsy, voxel = visited.biopsies[place], tuple(placement.voxels[place].tolist())
        yield _told(
            subject,
            biopsy,
            ("error", "site-outside-image"),
            f"a site must lie inside the image, but '{biopsy.biopsy_id}' is voxel {voxel} "
            f"of {shape} in RAS order{inside_if(placement, int(place), 'image')}.",
            "Mend x, y, z, or [coordinates] in cohort.toml if all are meant otherwise.",
        )


def _outside_parts(subject: Subject, visited: Visited, placement: Placement) -> Iterator[Finding]:
    """Sites in the image that lie outside a part by more than a targeting error; the least part is told."""
    told = ~placement.inside[DECLARED]
    for part in ("brain", "head", "tumor"):
        region = placement.regions.get(part)
        if region is None:
            continue
        off = (region.gap > FAR) & ~told
        for place in np.flatnonzero(off):
            biopsy = visited.biopsies[place]
            yield _told(
                subject,
                biopsy,
                ("warning", _CODES[part]),
                f"a site should lie in the {PARTS[part]}, but '{biopsy.biopsy_id}' is "
                f"{_distance(float(region.gap[place]))}{_otherwise(placement, int(place), part)}.",
                _ADVICE[part],
            )
        told = told | off


def _distance(gap: float) -> str:
    return f"{gap:.1f} mm from it" if np.isfinite(gap) else "not, as there is none"


def _otherwise(placement: Placement, place: int, part: str) -> str:
    """Where a site outside a part would lie by other readings; of a tumour, if mirrored."""
    if part != "tumor":
        return inside_if(placement, place, part)
    mirrors = [name for name, reading in READINGS.items() if reading.mirrors]
    inside = placement.regions["tumor"].inside
    return ", and inside the tumour mask if mirrored" if any(inside[n][place] for n in mirrors) else ""


def _beside(subject: Subject, visits: Sequence[Visited]) -> Iterator[Finding]:
    """One note a part on the sites that lie outside it by no more than a targeting error."""
    for part in ("brain", "tumor"):
        seen = [(v.ids, v.placement) for v in visits if v.placement and part in v.placement.regions]
        gaps = np.array([gap for _, placement in seen for gap in placement.regions[part].gap])
        biopsies = [name for ids, _ in seen for name in ids]
        near = np.flatnonzero((gaps > 0) & (gaps <= FAR)) if len(gaps) else np.array([], dtype=np.int64)
        if len(near) and (part == "brain" or (len(gaps) >= _MANY and len(near) <= EXCEPTIONS * len(gaps))):
            is_telling = part == "brain" and len(near) >= SEVERAL
            readings = joined([placement for _, placement in seen], part) if is_telling else {}
            words = returning(readings, near)
            otherwise = f" They lie in it if the coordinates are {words}." if words else ""
            yield _told_beside(
                subject, part, {biopsies[n]: float(gaps[n]) for n in near}, len(gaps), otherwise
            )


def _told_beside(
    subject: Subject, part: str, near: Mapping[str, float], sites: int, otherwise: str
) -> Finding:
    told = [f"{name} ({gap:.1f} mm)" for name, gap in sorted(near.items(), key=lambda item: -item[1])]
    return Finding(
        "note",
        f"sites-beside-{part}",
        subject.cohort.file.biopsies,
        f"sites should lie in the {PARTS[part]}, but {len(near)} of {sites} lie beside it: "
        f"{named(told, _LISTED)}.{otherwise}",
        f"A targeting error reaches so far (up to {FAR:g} mm), or the mask is drawn too small: look at them "
        "in the gallery (--out).",
        biopsies=tuple(near),
    )


def _alone(subject: Subject, visited: Visited, placement: Placement) -> Iterator[Finding]:
    """Sites far from all others of a participant and not in a tumour."""
    at = placement.voxels * placement.grid.voxel_size
    tumor = placement.regions.get("tumor")
    known: BoolArray = ~placement.inside[DECLARED] if tumor is None else tumor.inside[DECLARED]
    if len(at) < 3:
        return
    apart = np.linalg.norm(at[:, None] - at[None], axis=2) + np.diag(np.full(len(at), np.inf))
    for place in np.flatnonzero((apart.min(axis=1) > ALONE) & ~known):
        biopsy = visited.biopsies[place]
        yield _told(
            subject,
            biopsy,
            ("note", "site-far-from-others"),
            f"a site should lie within {ALONE:g} mm of another of its participant, but "
            f"'{biopsy.biopsy_id}' is {apart[place].min():.0f} mm from the nearest.",
            "Is it from another lesion, or are its coordinates another participant's?",
        )


def _fractions(subject: Subject) -> Iterator[Finding]:
    """A note where voxel indices are not whole."""
    if subject.cohort.coordinates.space != "voxel":
        return
    rows = [biopsy for biopsy in subject.cohort.biopsies if any(value % 1 for value in biopsy.position)]
    if not rows:
        return
    values = chain.from_iterable(biopsy.position for biopsy in rows)
    halves = all(value % 1 in (0, _HALF) for value in values)
    yield _fractional(subject, rows, halves)


def _fractional(subject: Subject, rows: Sequence[Biopsy], halves: bool) -> Finding:
    total, ids = len(subject.cohort.biopsies), tuple(biopsy.biopsy_id for biopsy in rows)
    kind = "halves" if halves else "other fractions"
    return Finding(
        "note",
        "half-voxels" if halves else "fractional-voxels",
        subject.cohort.file.biopsies,
        f"voxel indices are mostly whole numbers, but {len(rows)} of {total} biopsies have {kind} "
        f"({named(ids, 3)}); the nearest voxel is taken, of two the upper one.",
        "That is fine if they count from the centre of the first voxel; if from its corner, subtract 0.5."
        if halves
        else 'That is fine for points marked between voxels; millimetres would need space = "world".',
        biopsies=ids,
    )
