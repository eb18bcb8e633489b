"""On which grid a visit's patches are cut, and whether all of its files can be seen there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from data_prep.geometry import Grid, overlap, same_grid, same_places
from data_prep.problems import Problems
from data_prep.records import Biopsy, Cohort
from data_prep.volumes import Volume


def reference(
    cohort: Cohort,
    images: Mapping[str, Volume],
    masks: Mapping[str, Volume],
    resample_to: str | None,
    problems: Problems,
) -> Grid:
    """The grid of a visit: that of `resample_to` where it is asked for, else the one that all files share.

    Args:
        cohort: The cohort.
        images: By sequence; with that of `resample_to` where it exists.
        masks: By name.
        resample_to: The sequence whose grid the others are resampled to; None allows no others.
        problems: Receives files that lie on other grids, or nowhere.
    """
    first = teller(images or masks, resample_to)
    for volume in (*images.values(), *masks.values()):
        if resample_to is None:
            _check_shared(cohort, first, volume, problems)
        _check_place(cohort, first, volume, problems)
    return first.grid


def teller(volumes: Mapping[str, Volume], resample_to: str | None) -> Volume:
    """The volume that tells the grid of a visit.

    Args:
        volumes: At least one, in the order of the cohort's sequences.
        resample_to: The one to take; of a visit that lacks it, the first one with the finest voxels. None for
            the first of all.
    """
    if resample_to is None:
        return next(iter(volumes.values()))
    return volumes.get(resample_to, min(volumes.values(), key=_voxel_volume))


def _voxel_volume(volume: Volume) -> float:
    """In cubic millimetres, as exact as single-precision headers are."""
    return round(float(np.prod(volume.grid.voxel_size)), 4)


def note_lost(cohort: Cohort, biopsies: Sequence[Biopsy], resample_to: str, problems: Problems) -> None:
    """Complain that voxel coordinates say nothing of biopsies whose participants lack `resample_to`."""
    advice = f"Give world coordinates{shared_by_all(cohort)}."
    for biopsy in biopsies:
        problems.add(
            cohort.label_of(cohort.image_path(biopsy, resample_to)),
            f"voxel coordinates are indices into the file of resample_to, but there is none. {advice}",
        )


def shared_by_all(cohort: Cohort) -> str:
    """Which other references there are, as the end of a sentence that says what to do; "" for none."""
    names = set(cohort.sequences)
    for group in cohort.by_columns_of_paths():
        names &= cohort.images(group[0], cohort.sequences).keys()
    listed = ", ".join(name for name in cohort.sequences if name in names)
    return f", or resample_to to a sequence that everybody has: {listed}" if listed else ""


def _check_shared(cohort: Cohort, first: Volume, volume: Volume, problems: Problems) -> None:
    if not same_grid(first.grid, volume.grid, cohort.coordinates):
        problems.add(
            cohort.label_of(volume.path),
            f"volumes of one participant must lie on one grid, but got {_describe(volume.grid)} where "
            f"{cohort.label_of(first.path)} has {_describe(first.grid)}. "
            "Set resample_to to the sequence whose grid patches are to be cut on.",
        )


def check_placed(cohort: Cohort, volume: Volume, problems: Problems) -> bool:
    """Whether it is known where a file lies, if that counts on any grid; a problem if not."""
    is_lost = cohort.coordinates.space == "world" and not volume.placed
    if is_lost:
        problems.add(
            cohort.label_of(volume.path),
            "world coordinates need a placed grid, but sform_code and qform_code are both 0.",
        )
    return not is_lost


def _check_place(cohort: Cohort, first: Volume, volume: Volume, problems: Problems) -> None:
    """Where a file lies must be known if it counts, and be somewhere near the reference."""
    where = cohort.label_of(volume.path)
    is_elsewhere = not same_places(first.grid, volume.grid)
    if not check_placed(cohort, volume, problems):
        return
    if is_elsewhere and not (volume.placed and first.placed):
        unplaced = first if volume.placed else volume
        problems.add(
            cohort.label_of(unplaced.path),
            "resampling needs placed grids, but sform_code and qform_code are both 0.",
        )
    elif is_elsewhere and not overlap(volume.grid, first.grid):
        problems.add(
            where,
            f"what is resampled to {cohort.label_of(first.path)} must overlap it, but its centre lies "
            f"{_distance(volume.grid, first.grid):.0f} mm away. Are they registered?",
        )


def _distance(one: Grid, other: Grid) -> float:
    middles = [
        grid.canonical_affine @ [*((np.array(grid.canonical_shape) - 1) / 2), 1.0] for grid in (one, other)
    ]
    return float(np.linalg.norm(middles[0] - middles[1]))


def _describe(grid: Grid) -> str:
    return f"shape {grid.shape} and affine {np.round(grid.affine[:3], 4).tolist()}"
