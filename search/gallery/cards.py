"""What the gallery shows of a participant: three planes with all sites, then each biopsy in each sequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from data_prep.arrays import FloatArray, IntArray
from data_prep.check.findings import Finding
from data_prep.check.mixups import PARTS
from data_prep.check.placing import roles
from data_prep.check.subject import File, Region, Subject, Visited
from data_prep.geometry import Grid, canonical_voxel, same_places, stored_voxel
from data_prep.problems import InputError
from data_prep.records import Biopsy
from data_prep.volumes import read_volume
from search.gallery import drawing
from search.gallery.drawing import PLANES, RADIUS, Picture

PLANE_PIXELS: Final = 300
SLICE_PIXELS: Final = 144
PATCH_PIXELS: Final = 68
_SHOWN_FIRST: Final = ("T1Gd", "T1CE", "FLAIR", "T2")  # in which a tumour is best seen
_UNKNOWN: Final = "the file cannot be read."


@dataclass(frozen=True)
class Seen:
    """One biopsy in one sequence.

    Attributes:
        sequence: Its name.
        slice: The axial slice with the site and the patch's edges; None where there is none.
        patch: The patch.
        why: Why there is none.
    """

    sequence: str
    slice: Picture | None
    patch: Picture | None
    why: str = ""


@dataclass(frozen=True)
class Site:
    """One biopsy.

    Attributes:
        number: Its mark on the planes.
        biopsy_id: Its id.
        where: Its coordinates and voxel in words.
        seen: In the order of the cohort's sequences.
        findings: Numbers of the findings that name it.
    """

    number: int
    biopsy_id: str
    where: str
    seen: tuple[Seen, ...]
    findings: tuple[int, ...]


@dataclass(frozen=True)
class Card:
    """One participant, or one of several visits.

    Attributes:
        anchor: Of the card on its page.
        title: Participant, and what tells the visit from others.
        planes: Three pictures; none where no image can be read.
        shown: The sequence of the planes.
        sites: The biopsies.
        findings: Numbers of the findings on the participant.
    """

    anchor: str
    title: str
    planes: tuple[Picture, ...]
    shown: str
    sites: tuple[Site, ...]
    findings: tuple[int, ...]

    @property
    def pictures(self) -> int:
        """How many pictures it holds."""
        return len(self.planes) + sum(seen.slice is not None for site in self.sites for seen in site.seen)


def make_card(subject: Subject, visit: Visited, number: int, findings: Sequence[Finding]) -> Card:
    """Read the images of a visit, one at a time, and draw them.

    Args:
        subject: The cohort.
        visit: One of its visits.
        number: Its place among them.
        findings: All, in the order of the page.
    """
    first = _first(visit)
    seen: dict[str, dict[str, Seen]] = {biopsy.biopsy_id: {} for biopsy in visit.biopsies}
    planes: tuple[Picture, ...] = ()
    for sequence in subject.cohort.sequences:
        file = visit.images.get(sequence)
        voxels, why = _voxels(file)
        grid = None if file is None or file.volume is None else file.volume.grid
        window = (0.0, 1.0) if voxels is None else drawing.grey_window(voxels)
        for biopsy in visit.biopsies:
            if voxels is None or grid is None:
                seen[biopsy.biopsy_id][sequence] = Seen(sequence, None, None, why)
            else:
                seen[biopsy.biopsy_id][sequence] = _seen(subject, sequence, grid, biopsy, voxels, window)
        if voxels is not None and grid is not None and file is first:
            planes = _planes(subject, visit, grid, voxels, window, sequence)
    sites = tuple(
        _site(subject, visit, place, tuple(seen[biopsy.biopsy_id].values()), findings)
        for place, biopsy in enumerate(visit.biopsies)
    )
    told = tuple(n for n, f in enumerate(findings, start=1) if f.participant == visit.participant)
    return Card(f"p{number}", title(subject, visit), planes, "" if first is None else first.name, sites, told)


def title(subject: Subject, visit: Visited) -> str:
    """The participant, with the columns that tell the visit from others of the same."""
    others = [
        other for other in subject.visits if other.participant == visit.participant and other is not visit
    ]
    mine, differ = visit.biopsies[0].columns, []
    for name in ("session", "ses", "visit", "date"):
        if name in mine and any(other.biopsies[0].columns.get(name) != mine[name] for other in others):
            differ.append(mine[name])
    return ", ".join([visit.participant, *differ])


def _first(visit: Visited) -> File | None:
    """The image that the planes show: one that a reader knows, and no mask if there is another."""
    usable = [file for file in visit.images.values() if file.digest is not None and not file.digest.unusable]
    grey = [file for file in usable if file.digest is not None and file.digest.at_top < 1] or usable
    wanted = [file for name in _SHOWN_FIRST for file in grey if file.name.lower() == name.lower()]
    return next(iter([*wanted, *grey]), None)


def _voxels(file: File | None) -> tuple[FloatArray | None, str]:
    """The voxels in canonical order, or why there are none."""
    if file is None:
        return None, "absent"
    if file.volume is None or file.problem is not None:
        return None, file.problem or _UNKNOWN
    try:
        return read_volume(file.volume), ""
    except InputError as error:
        return None, str(error)


def _at(subject: Subject, grid: Grid, biopsy: Biopsy) -> IntArray:
    """Canonical voxel of a biopsy, shape (3,); may lie outside."""
    return canonical_voxel(grid, stored_voxel(grid, biopsy.position, subject.cohort.coordinates))


def _is_inside(at: IntArray, grid: Grid) -> bool:
    return bool(((at >= 0) & (at < np.array(grid.canonical_shape))).all())


def _seen(
    subject: Subject, name: str, grid: Grid, biopsy: Biopsy, voxels: FloatArray, window: drawing.Window
) -> Seen:
    at, axis = _at(subject, grid, biopsy), PLANES["axial"]
    if not _is_inside(at, grid):
        return Seen(name, None, None, f"the site lies outside: voxel {tuple(at.tolist())}")
    size = drawing.size_of(voxels.shape, grid.voxel_size, axis, SLICE_PIXELS)
    picture = Picture(
        drawing.slice_data(drawing.plane(voxels, at, axis), window, size),
        *size,
        f"{name}, axial slice {at[2] + 1} of {voxels.shape[2]} through {biopsy.biopsy_id}, site marked",
        (drawing.mark(at, at, voxels.shape, axis, size, boxed=True),),
    )
    across, up = (float(edge / grid.voxel_size[:2].max()) for edge in grid.voxel_size[:2])
    patch = Picture(
        drawing.patch_data(voxels, at, window),
        max(1, round(PATCH_PIXELS * across)),
        max(1, round(PATCH_PIXELS * up)),
        f"{name}, patch of radius {RADIUS} around {biopsy.biopsy_id}",
    )
    return Seen(name, picture, patch)


def _planes(
    subject: Subject, visit: Visited, grid: Grid, voxels: FloatArray, window: drawing.Window, name: str
) -> tuple[Picture, ...]:
    """The slices through the middle of the sites, with all of them."""
    sites = {n: _at(subject, grid, biopsy) for n, biopsy in enumerate(visit.biopsies, start=1)}
    inside = {n: at for n, at in sites.items() if _is_inside(at, grid)}
    middle = np.median(list(inside.values()), axis=0) if inside else np.array(voxels.shape) / 2
    at = np.clip(np.floor(middle), 0, np.array(voxels.shape) - 1).astype(np.int64)
    masks = {role: read for role, file in roles(visit).items() if (read := _mask(file, grid)) is not None}
    pictures = []
    for direction, axis in reversed(PLANES.items()):
        size = drawing.size_of(voxels.shape, grid.voxel_size, axis, PLANE_PIXELS)
        rims = [drawing.outline_data(drawing.plane(m, at, axis) != 0, n, size) for n, m in masks.items()]
        marks = (drawing.mark(s, at, voxels.shape, axis, size, str(n)) for n, s in inside.items())
        pictures.append(
            Picture(
                drawing.slice_data(drawing.plane(voxels, at, axis), window, size),
                *size,
                f"{name} of {visit.participant}, {direction} slice {at[axis] + 1} of {voxels.shape[axis]}, "
                f"with {len(inside)} sites",
                tuple(marks),
                tuple(rim for rim in rims if rim is not None),
                drawing.ENDS[direction],
            )
        )
    return tuple(pictures)


def _mask(file: File, grid: Grid) -> FloatArray | None:
    """A mask that lies on the image's voxels, as 0 and 1."""
    if file.volume is None or not same_places(grid, file.volume.grid):
        return None
    voxels, _ = _voxels(file)
    return None if voxels is None else (voxels != 0).astype(np.float32)


def _site(
    subject: Subject, visit: Visited, place: int, seen: tuple[Seen, ...], findings: Sequence[Finding]
) -> Site:
    biopsy, coordinates = visit.biopsies[place], subject.cohort.coordinates
    unit = "voxels" if coordinates.space == "voxel" else f"mm {coordinates.convention}"
    where = f"({', '.join(f'{value:g}' for value in biopsy.position)}) {unit}"
    regions: Mapping[str, Region] = {}
    if visit.placement is not None:
        where += f", voxel {tuple(visit.placement.voxels[place].tolist())} in RAS order"
        regions = visit.placement.regions
    for part in ("brain", "tumor"):
        if part in regions and 0 < (gap := float(regions[part].gap[place])) < np.inf:
            where += f", {gap:.1f} mm beside the {PARTS[part]}"
    told = tuple(n for n, f in enumerate(findings, start=1) if biopsy.biopsy_id in f.biopsies)
    return Site(place + 1, biopsy.biopsy_id, where, seen, told)


def presence(subject: Subject) -> list[tuple[str, int, dict[str, File | None], str]]:
    """Rows of the table of what is there: title, biopsies, file by sequence and mask, repeats in words."""
    masks = [name for name, path in subject.cohort.file.masks.model_dump().items() if path is not None]
    rows = []
    for visit in subject.visits:
        files = {name: visit.images.get(name) for name in subject.cohort.sequences}
        files |= {f"{name} mask": visit.masks.get(name) for name in masks}
        rows.append((title(subject, visit), len(visit.biopsies), files, str(len(visit.repeats) or "-")))
    return rows
