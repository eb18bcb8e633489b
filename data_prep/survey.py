"""The first look at a cohort's images: headers only, every problem noted.

Biopsies that see the same files (one participant, or one session of a participant) form a visit: its files
are opened together and must share one grid, unless they are to be resampled to one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from data_prep.arrays import DoubleArray, IntArray
from data_prep.geometry import Grid, canonical_position, canonical_voxel, same_grid, stored_voxel
from data_prep.problems import InputError, Problems
from data_prep.records import Biopsy, Cohort
from data_prep.reference import check_placed, note_lost, reference, teller
from data_prep.volumes import Volume, open_volume, slabs

Progress = Callable[[int, int], None]

# Inflating and NumPy release the interpreter lock. Two at least, as a disk makes one of them wait.
_READERS = max(2, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)

# No sequence is called so: its name would hold a slash.
_MASK, _GRID = "masks/", "grid/"

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@dataclass(frozen=True, eq=False)
class Visit:
    """Biopsies that see the same files.

    Attributes:
        rows: Positions in `Cohort.biopsies`, shape (k,).
        sites: Canonical voxel of each, shape (k, 3).
        positions: Where each lies, in canonical voxels and parts of one, shape (k, 3).
        grid: On which sites are told: shared by all files, or that of the sequence they are resampled to.
        images: The sequences that exist, by name.
        brain: The brain mask, where there is one.
    """

    rows: IntArray
    sites: IntArray
    positions: DoubleArray
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


def survey(
    cohort: Cohort, sequences: Sequence[str], problems: Problems, resample_to: str | None = None
) -> Survey:
    """Open the headers of all images and masks, and place every site in its grid.

    Args:
        cohort: The cohort.
        sequences: Those whose images are needed; of a visit that has none of them another one tells the grid.
        problems: Receives unreadable headers, grids that differ, sites outside the grid.
        resample_to: The sequence that tells the grid of each visit that has it, so that those of other files
            may differ; voxel coordinates are then indices into its file. Of a visit that lacks it the image
            with the finest voxels tells the grid.
    """
    visits: list[Visit] = []
    loose: list[Volume] = []
    lost: list[Biopsy] = []
    for rows, files in _by_files(cohort, sequences, resample_to):
        volumes = _open(cohort, files, problems)
        visit = None
        if _has_indices(cohort, files, resample_to):
            visit = _visit(cohort, rows, volumes, resample_to, problems)
        else:
            lost.append(cohort.biopsies[rows[0]])
        if visit is None:
            loose += [volume for volume in volumes.values() if volume is not None]
        else:
            visits.append(visit)
    if lost and resample_to is not None:
        note_lost(cohort, lost, resample_to, problems)
    return Survey(tuple(visits), tuple(loose))


def first_grids(cohort: Cohort, sequences: Sequence[str], resample_to: str | None = None) -> list[Grid]:
    """The grids that `survey` finds, from few headers of each visit; what else is wrong is left to it.

    Args:
        cohort: The cohort.
        sequences: As in `survey`.
        resample_to: As in `survey`.

    Returns:
        Grids of the visits that have a readable header where the grid is told.

    Raises:
        InputError: There is none; every problem of those headers.
    """
    grids: list[Grid] = []
    problems = Problems()
    for rows, files in _by_files(cohort, sequences, resample_to):
        if not files:
            note_no_image(cohort, cohort.biopsies[rows[0]], problems)
            continue
        volumes = _open(cohort, _tellers(files, resample_to), problems)
        readable = {name: volume for name, volume in volumes.items() if volume is not None}
        if readable:
            grids.append(teller(readable, resample_to).grid)
    if not grids:
        problems.raise_any()
    return grids


def _tellers(files: Mapping[str, Path], resample_to: str | None) -> dict[str, Path]:
    """The files of a visit, at least one, of which `teller` chooses."""
    named = {name.removeprefix(_GRID): path for name, path in files.items()}
    images = {name: path for name, path in named.items() if not name.startswith(_MASK)} or named
    if resample_to is not None and resample_to not in images:
        return images
    name = next(iter(images)) if resample_to is None else resample_to
    return {name: images[name]}


def _has_indices(cohort: Cohort, files: Mapping[str, Path], resample_to: str | None) -> bool:
    """Whether there is the file, if any counts, that voxel coordinates are indices into."""
    if not files or resample_to is None or cohort.coordinates.space == "world":
        return True
    return resample_to in files or f"{_GRID}{resample_to}" in files


def _by_files(
    cohort: Cohort, sequences: Sequence[str], resample_to: str | None
) -> list[tuple[list[int], dict[str, Path]]]:
    """Rows of the biopsies that see the same files, and those files."""
    groups: dict[tuple[Path, ...], tuple[list[int], dict[str, Path]]] = {}
    for row, biopsy in enumerate(cohort.biopsies):
        files = _files(cohort, biopsy, sequences, resample_to)
        groups.setdefault(tuple(files.values()), ([], files))[0].append(row)
    return list(groups.values())


def _files(
    cohort: Cohort, biopsy: Biopsy, sequences: Sequence[str], resample_to: str | None
) -> dict[str, Path]:
    """Files of a biopsy by sequence name, masks as "masks/NAME", what only tells the grid as "grid/NAME"."""
    found = cohort.images(biopsy, cohort.sequences)
    files = {name: path for name, path in found.items() if name in sequences}
    if resample_to in found and resample_to not in files:
        files[f"{_GRID}{resample_to}"] = found[resample_to]
    if not files:
        files = dict(list(found.items())[:1])
    return files | {f"{_MASK}{mask}": path for mask, path in cohort.masks(biopsy).items()}


def _open(cohort: Cohort, files: Mapping[str, Path], problems: Problems) -> dict[str, Volume | None]:
    """Volumes by name, None where the header cannot be read."""
    volumes: dict[str, Volume | None] = {}
    for name, path in files.items():
        try:
            volumes[name] = open_volume(path)
        except InputError as error:
            problems.add(cohort.label_of(path), str(error))
            volumes[name] = None
    return volumes


def _visit(
    cohort: Cohort,
    rows: list[int],
    volumes: Mapping[str, Volume | None],
    resample_to: str | None,
    problems: Problems,
) -> Visit | None:
    before = len(problems)
    readable = {name: volume for name, volume in volumes.items() if volume is not None}
    if not volumes:
        for row in rows:
            note_no_image(cohort, cohort.biopsies[row], problems)
    unread = {name.removeprefix(_GRID) for name in volumes.keys() - readable.keys()}
    if not readable or resample_to in unread:
        return None
    masks = {name: volume for name, volume in readable.items() if name.startswith(_MASK)}
    images = {name.removeprefix(_GRID): v for name, v in readable.items() if name not in masks}
    grid = reference(cohort, images, masks, resample_to, problems)
    places = [_site(cohort, cohort.biopsies[row], grid, problems) for row in rows]
    if len(problems) > before or len(readable) < len(volumes):
        return None
    sites, positions = (np.array(part) for part in zip(*places, strict=True))
    images = {name: volume for name, volume in images.items() if name in readable}
    return Visit(np.array(rows), sites, positions, grid, images, readable.get(f"{_MASK}brain"))


def _site(cohort: Cohort, biopsy: Biopsy, grid: Grid, problems: Problems) -> tuple[IntArray, DoubleArray]:
    """Canonical voxel of a biopsy, and its own position; a problem if it lies outside."""
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
    return canonical_voxel(grid, stored), canonical_position(grid, biopsy.position, cohort.coordinates)


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
    """Read every image and mask of the cohort to its end and keep nothing but the problems.

    Where the grids of a visit differ, a study may still resample them to one; on which its sites lie is not
    known here, so that neither grids nor sites are judged.
    """
    every: list[Volume] = []
    for rows, files in _by_files(cohort, cohort.sequences, None):
        volumes = _open(cohort, files, problems)
        readable = [volume for volume in volumes.values() if volume is not None]
        if all(same_grid(readable[0].grid, volume.grid, cohort.coordinates) for volume in readable):
            _visit(cohort, rows, volumes, None, problems)
        else:
            for volume in readable:
                check_placed(cohort, volume, problems)
        every += readable
    for lines in in_parallel(lambda volume: damage(cohort, volume), every, progress):
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
