"""Grids that differ: within a participant, where patches need one, and between participants."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from data_prep.arrays import DoubleArray
from data_prep.check.findings import Finding
from data_prep.check.sharing import owners
from data_prep.check.subject import File, Subject, Visited
from data_prep.cohort_file import Coordinates
from data_prep.geometry import Grid, overlap, same_grid, same_places
from data_prep.problems import named
from data_prep.volumes import Volume

_LEAST_ANGLE: Final = 0.05  # degrees; single precision in a header is a thousandth of that
_LEAST_SHIFT: Final = 0.05  # mm
_EDGES_APART: Final = 0.05  # of a voxel's edge, from which patches of two participants differ in size


def grid_findings(subject: Subject) -> Iterator[Finding]:
    """Findings on files of one participant on several grids or nowhere, and on voxel sizes that vary."""
    advice = resample_advice(subject)
    people = owners(subject)
    for visited in subject.visits:
        is_shared = any(len(people[file.label]) > 1 for file in visited.images.values())
        # Masks of a participant whose images are another's say nothing new.
        masks = () if is_shared else tuple(visited.masks.values())
        for files in ((*visited.images.values(), *masks), tuple(visited.repeats.values())):
            yield from _within(visited, files, subject.cohort.coordinates, advice)
    yield from _between(subject)


def usual_file(files: Sequence[File], coordinates: Coordinates) -> File | None:
    """The first image on the grid that most images, then most masks share; a mask where there is no image."""
    readable = [file for file in files if file.volume is not None]
    images = [file for file in readable if file.kind == "image"] or readable

    def sharing(file: File) -> tuple[int, int]:
        counts = [sum(_same(file, other, coordinates) for other in group) for group in (images, readable)]
        return counts[0], counts[1]

    return max(images, key=sharing, default=None)


def _same(one: File, other: File, coordinates: Coordinates) -> bool:
    if one.volume is None or other.volume is None:
        return False
    return same_grid(one.volume.grid, other.volume.grid, coordinates)


def _within(
    visited: Visited, files: Sequence[File], coordinates: Coordinates, advice: str
) -> Iterator[Finding]:
    usual = usual_file(files, coordinates)
    if usual is None or usual.volume is None:
        return
    someone_is_placed = any(file.volume is not None and file.volume.placed for file in files)
    for file in files:
        if file.volume is None:
            continue
        if not file.volume.placed and (someone_is_placed or coordinates.space == "world"):
            yield _unplaced(visited, file)
        elif not any(_same(other, file, coordinates) for other in _compared(file, usual, files)):
            yield _differs(visited, file, usual, advice)


def _compared(file: File, usual: File, files: Sequence[File]) -> Sequence[File]:
    """The files of which a file must share a grid: an image the usual one's, a mask that of any image."""
    images = [each for each in files if each.kind == "image"]
    return images if file.kind == "mask" and images else [usual]


def _unplaced(visited: Visited, file: File) -> Finding:
    return Finding(
        "error",
        "grid-unplaced",
        file.label,
        "a header must say where its grid lies, but sform_code and qform_code are both 0.",
        "Convert the file again, or copy sform and qform from an image that it was registered to.",
        visited.participant,
        visited.ids,
    )


def _differs(visited: Visited, file: File, usual: File, advice: str) -> Finding:
    one, other = _volume(usual), _volume(file)
    together = one.placed and other.placed and overlap(one.grid, other.grid)
    if same_places(one.grid, other.grid):
        advice = "The voxels are the same: store the file in the order of the others."
    elif min(other.grid.shape) == 1:
        advice = "It has a single slice: export the whole volume, or remove the file."
    elif not together:
        advice = "They lie nowhere near each other: register the file, or put the right one there."
    elif usual.kind == "repeat":
        advice = "Resample the file to the others."
    where = "mask" if file.kind == "mask" else "file"
    return Finding(
        "warning" if together else "error",
        "mask-grid-differs" if file.kind == "mask" else "grid-differs",
        file.label,
        f"files of one participant should lie on one grid, but compared with {usual.label} this {where} has "
        f"{difference(one.grid, other.grid)}.",
        advice,
        visited.participant,
        visited.ids,
    )


def resample_advice(subject: Subject) -> str:
    """One reference for the cohort: a fine grid that everybody has, and the masks if they can choose.

    A sequence counts as fine up to twice the voxel volume of the finest; of several the masks' is taken, as
    then they need not be resampled, and of these the finest.
    """
    coordinates = subject.cohort.coordinates
    visits = [visited for visited in subject.visits if any(f.volume for f in visited.images.values())]
    usable = {
        name: [v for v in visits if _is_usable(v.images.get(name))] for name in subject.cohort.sequences
    }
    most = max(map(len, usable.values()), default=0)
    if not most:
        return "Resample the files of each participant to one grid."
    sizes = {
        name: float(np.median([_volume(v.images[name]).grid.voxel_size.prod() for v in having]))
        for name, having in usable.items()
        if len(having) == most
    }
    fine = [name for name, size in sizes.items() if size <= 2 * min(sizes.values())]
    shared = {name: sum(_shares_masks(v, name, coordinates) for v in usable[name]) for name in fine}
    best = min(fine, key=lambda name: (-shared[name], sizes[name]))
    indices = "; x, y, z then count its voxels" if coordinates.space == "voxel" else ""
    some = f" ({most} of {len(visits)} have it)" if most < len(visits) else ""
    return f'Set resample_to = "{best}" under [input] of the study{some}{indices}.'


def _is_usable(file: File | None) -> bool:
    """Whether other images can be resampled to a file."""
    if file is None or file.volume is None:
        return False
    return file.volume.placed and min(file.volume.grid.shape) > 1


def _shares_masks(visited: Visited, name: str, coordinates: Coordinates) -> bool:
    return any(_same(visited.images[name], mask, coordinates) for mask in visited.masks.values())


def _volume(file: File) -> Volume:
    if file.volume is None:
        raise ValueError(f"{file.label}: its header could not be read")
    return file.volume


def difference(usual: Grid, other: Grid) -> str:
    """How another grid differs, in words.

    Args:
        usual: What it is compared with.
        other: The grid.
    """
    parts = []
    if usual.canonical_shape != other.canonical_shape:
        parts.append(f"shape {other.canonical_shape} instead of {usual.canonical_shape}")
    if not np.allclose(usual.voxel_size, other.voxel_size, rtol=1e-3):
        parts.append(f"voxels of {edges(other)} mm instead of {edges(usual)} mm")
    if (angle := _angle(usual, other)) > _LEAST_ANGLE:
        parts.append(f"axes turned by {angle:.2g} degrees")
    if (shift := float(np.linalg.norm(_middle(other) - _middle(usual)))) > _LEAST_SHIFT:
        parts.append(f"its centre {shift:.2g} mm away")
    if same_places(usual, other):
        parts.append(f"its voxels stored in the order {_order(other)} instead of {_order(usual)}")
    return ", ".join(parts) or "corners that lie elsewhere"


def edges(grid: Grid) -> str:
    """Voxel size in words, such as "1 x 1 x 1.5"."""
    return " x ".join(f"{edge:.3g}" for edge in grid.voxel_size)


def _directions(grid: Grid) -> DoubleArray:
    return np.asarray(grid.canonical_affine[:3, :3] / grid.voxel_size)


def _angle(one: Grid, other: Grid) -> float:
    """Degrees of the largest turn of an axis."""
    cosines = (_directions(one) * _directions(other)).sum(axis=0)
    return float(np.degrees(np.arccos(np.clip(cosines, -1, 1))).max())


def _middle(grid: Grid) -> DoubleArray:
    middle = (np.array(grid.canonical_shape) - 1) / 2
    return np.asarray(grid.canonical_affine[:3, :3] @ middle + grid.canonical_affine[:3, 3])


def _order(grid: Grid) -> str:
    """The directions in which stored axes run, such as "LPS"."""
    ends = ("LR", "PA", "IS")
    return "".join(ends[int(axis)][int(direction > 0)] for axis, direction in grid.orientation)


def _between(subject: Subject) -> Iterator[Finding]:
    """A note where voxels of some participants have another size than those of most."""
    sizes: dict[str, Grid] = {}
    for visited in subject.visits:
        usual_one = usual_file([*visited.images.values()], subject.cohort.coordinates)
        if usual_one is not None:
            sizes.setdefault(visited.participant, _volume(usual_one).grid)
    if not sizes:
        return
    usual = Counter(edges(grid) for grid in sizes.values()).most_common(1)[0][0]
    common = next(grid.voxel_size for grid in sizes.values() if edges(grid) == usual)
    others = [name for name, grid in sizes.items() if _is_apart(grid.voxel_size, common)]
    if others:
        found = sorted({edges(sizes[name]) for name in others})
        yield Finding(
            "note",
            "spacing-varies",
            subject.cohort.name,
            f"patches should have one size in mm, but voxels are {usual} mm in most participants and "
            f"{' or '.join(found[:3])} mm in {named(others)}.",
            "Set spacing_mm under [input] of the study, so that a radius means millimetres.",
            others[0] if len(others) == 1 else None,
        )


def _is_apart(one: DoubleArray, other: DoubleArray) -> bool:
    return bool((np.abs(one / other - 1) > _EDGES_APART).any())
