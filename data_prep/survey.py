"""The first look at a cohort's images: headers only, every problem noted.

Biopsies that see the same files (one participant, or one session of a participant) form a visit: its files
are opened together and must share one grid.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from data_prep.arrays import IntArray
from data_prep.geometry import Grid, canonical_voxel, same_grid, stored_voxel
from data_prep.problems import InputError, Problems
from data_prep.records import Biopsy, Cohort
from data_prep.volumes import Volume, open_volume, slabs

Progress = Callable[[int, int], None]

# Inflating and NumPy release the interpreter lock. Two at least, as a disk makes one of them wait.
_READERS = max(2, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)

# No sequence is called so: its name would hold a slash.
_MASK = "masks/"

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@dataclass(frozen=True, eq=False)
class Visit:
    """Biopsies that see the same files.

    Attributes:
        rows: Positions in `Cohort.biopsies`, shape (k,).
        sites: Canonical voxel of each, shape (k, 3).
        grid: Shared by all files.
        images: The sequences that exist, by name.
        brain: The brain mask, where there is one.
    """

    rows: IntArray
    sites: IntArray
    grid: Grid
    images: Mapping[str, Volume]
    brain: Volume | None

    @property
    def volumes(self) -> tuple[Volume, ...]:
        """All files whose voxels will be read."""
        return (*self.images.values(), *(() if self.brain is None else (self.brain,)))


@dataclass(frozen=True)
class Survey:
    """What the headers told.

    Attributes:
        visits: Those in which nothing is wrong so far, in the order of their first biopsy.
        loose: Readable volumes of the other visits, whose voxels can still be checked.
    """

    visits: tuple[Visit, ...]
    loose: tuple[Volume, ...]


def survey(cohort: Cohort, sequences: Sequence[str], problems: Problems) -> Survey:
    """Open the headers of all images and masks, and place every site in its grid.

    Args:
        cohort: The cohort.
        sequences: Those whose images are needed; of a visit that has none of them another one tells the grid.
        problems: Receives unreadable headers, grids that differ, sites outside the grid.
    """
    visits: list[Visit] = []
    loose: list[Volume] = []
    for rows in _by_files(cohort, sequences).values():
        volumes = _open(cohort, cohort.biopsies[rows[0]], sequences, problems)
        visit = _visit(cohort, rows, volumes, problems)
        if visit is None:
            loose += [volume for volume in volumes.values() if volume is not None]
        else:
            visits.append(visit)
    return Survey(tuple(visits), tuple(loose))


def first_grids(cohort: Cohort, sequences: Sequence[str]) -> list[Grid]:
    """The grids that `survey` finds, from the header of one file a visit; what else is wrong is left to it.

    Args:
        cohort: The cohort.
        sequences: As in `survey`.

    Returns:
        Grids of the visits that have a file with a readable header as their first.

    Raises:
        InputError: There is none; every problem of those headers.
    """
    grids: list[Grid] = []
    problems = Problems()
    for files, rows in _by_files(cohort, sequences).items():
        if not files:
            note_no_image(cohort, cohort.biopsies[rows[0]], problems)
            continue
        try:
            grids.append(open_volume(files[0]).grid)
        except InputError as error:
            problems.add(cohort.label_of(files[0]), str(error))
    if not grids:
        problems.raise_any()
    return grids


def _by_files(cohort: Cohort, sequences: Sequence[str]) -> dict[tuple[Path, ...], list[int]]:
    """Rows of the biopsies that see the same files."""
    groups: dict[tuple[Path, ...], list[int]] = {}
    for row, biopsy in enumerate(cohort.biopsies):
        groups.setdefault(tuple(_files(cohort, biopsy, sequences).values()), []).append(row)
    return groups


def _files(cohort: Cohort, biopsy: Biopsy, sequences: Sequence[str]) -> dict[str, Path]:
    """Files of a biopsy by sequence name, the masks as "masks/NAME"."""
    found = cohort.images(biopsy, cohort.sequences)
    files = {name: path for name, path in found.items() if name in sequences}
    if not files:
        files = dict(list(found.items())[:1])
    return files | {f"{_MASK}{mask}": path for mask, path in cohort.masks(biopsy).items()}


def _open(
    cohort: Cohort, biopsy: Biopsy, sequences: Sequence[str], problems: Problems
) -> dict[str, Volume | None]:
    """Volumes of a biopsy by name, None where the header cannot be read."""
    volumes: dict[str, Volume | None] = {}
    for name, path in _files(cohort, biopsy, sequences).items():
        try:
            volumes[name] = open_volume(path)
        except InputError as error:
            problems.add(cohort.label_of(path), str(error))
            volumes[name] = None
    return volumes


def _visit(
    cohort: Cohort, rows: list[int], volumes: Mapping[str, Volume | None], problems: Problems
) -> Visit | None:
    before = len(problems)
    readable = {name: volume for name, volume in volumes.items() if volume is not None}
    if not volumes:
        for row in rows:
            note_no_image(cohort, cohort.biopsies[row], problems)
    if not readable:
        return None
    first = next(iter(readable.values()))
    for volume in readable.values():
        _check_grid(cohort, first, volume, problems)
    sites = [_site(cohort, cohort.biopsies[row], first.grid, problems) for row in rows]
    if len(problems) > before or len(readable) < len(volumes):
        return None
    images = {name: volume for name, volume in readable.items() if name in cohort.sequences}
    return Visit(np.array(rows), np.array(sites), first.grid, images, readable.get(f"{_MASK}brain"))


def _check_grid(cohort: Cohort, first: Volume, volume: Volume, problems: Problems) -> None:
    where = cohort.label_of(volume.path)
    if cohort.coordinates.space == "world" and not volume.placed:
        problems.add(where, "world coordinates need a placed grid, but sform_code and qform_code are both 0.")
    if not same_grid(first.grid, volume.grid, cohort.coordinates):
        problems.add(
            where,
            f"volumes of one participant must lie on one grid, but got {_describe(volume.grid)} where "
            f"{cohort.label_of(first.path)} has {_describe(first.grid)}. Resample one to the other.",
        )


def _describe(grid: Grid) -> str:
    return f"shape {grid.shape} and affine {np.round(grid.affine[:3], 4).tolist()}"


def _site(cohort: Cohort, biopsy: Biopsy, grid: Grid, problems: Problems) -> IntArray:
    """Canonical voxel of a biopsy; a problem if it lies outside."""
    stored = stored_voxel(grid, biopsy.position, cohort.coordinates)
    outside = (stored < 0) | (stored >= np.array(grid.shape))
    where = f"{cohort.file.biopsies}: row {biopsy.row}, column"
    rule = f"a site must lie inside the grid {grid.shape}, but got"
    if cohort.coordinates.space == "world" and outside.any():
        x, y, z = biopsy.position
        problems.add(
            f"{where}s x, y, z",
            f"{rule} ({x:g}, {y:g}, {z:g}) mm, which is voxel {tuple(stored.tolist())}. "
            "Are 'space' and 'convention' in cohort.toml right?",
        )
    elif outside.any():
        for axis in np.flatnonzero(outside):
            name = "xyz"[axis]
            problems.add(
                f"{where} {name}",
                f"{rule} {name}={biopsy.position[axis]:g}. Is 'space' in cohort.toml right?",
            )
    return canonical_voxel(grid, stored)


def note_no_image(cohort: Cohort, biopsy: Biopsy, problems: Problems) -> None:
    """Complain that a biopsy has no image in any sequence, unless those it has were complained about."""
    if cohort.refused(biopsy):
        return
    example = cohort.label_of(cohort.image_path(biopsy, cohort.sequences[0]))
    problems.add(
        f"{cohort.file.biopsies}: row {biopsy.row}",
        f"at least one image of the biopsy must exist, but there is none, not even {example}.",
    )


def check_images(cohort: Cohort, problems: Problems, progress: Progress | None = None) -> None:
    """Read every image and mask of the cohort to its end and keep nothing but the problems."""
    found = survey(cohort, cohort.sequences, problems)
    volumes = [volume for visit in found.visits for volume in visit.volumes]
    for lines in in_parallel(lambda volume: damage(cohort, volume), [*volumes, *found.loose], progress):
        problems.extend(InputError(lines))


def damage(cohort: Cohort, volume: Volume) -> list[str]:
    """Read a volume to its end; the line of what is wrong with it, if anything is."""
    try:
        for _ in slabs(volume):
            pass
    except InputError as error:
        return [f"{cohort.label_of(volume.path)}: {error}"]
    return []


def in_parallel(
    work: Callable[[_Item], _Result], items: Sequence[_Item], progress: Progress | None
) -> list[_Result]:
    """Results in the order of the items, one at work for each core at a time, but at least two."""
    results = []
    pool = ThreadPoolExecutor(_READERS)
    try:
        for done, result in enumerate(pool.map(work, items), start=1):
            results.append(result)
            if progress is not None:
                progress(done, len(items))
    finally:
        # After Ctrl-C only what is being read right now is waited for.
        pool.shutdown(cancel_futures=True)
    return results
