"""Participants without the sequence on whose grid patches are cut: are theirs like everybody else's?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from data_prep.arrays import DoubleArray
from data_prep.geometry import Grid, same_places
from data_prep.patch_set import PatchRequest
from data_prep.problems import Problems
from data_prep.records import Cohort
from data_prep.reference import shared_by_all
from data_prep.survey import Visit

# At the edge of a patch of radius 10 this makes half a voxel.
_LIKE = 0.05


def check_fallbacks(
    cohort: Cohort, request: PatchRequest, visits: Sequence[Visit], problems: Problems
) -> None:
    """Refuse patches whose voxels have another size for want of `resample_to`.

    With `spacing_mm` all patches have one scale, whichever grid they are cut on. Without it a visit that
    lacks the sequence must have one grid, whose edges are those of some other visit's reference within 5 %.

    Args:
        cohort: The cohort.
        request: What to cut out.
        visits: As `survey` found them for the request.
        problems: Receives a line for each visit that is refused.
    """
    if request.resample_to is None or request.spacing_mm is not None:
        return
    usual: list[DoubleArray] = []
    lacking: list[Visit] = []
    for visit in visits:
        if cohort.images(cohort.biopsies[visit.rows[0]], (request.resample_to,)):
            usual.append(visit.grid.voxel_size)
        elif visit.images.keys() & set(request.sequences):
            lacking.append(visit)
    broken = [(visit, _broken(visit, usual)) for visit in lacking]
    advice = f"Set spacing_mm{shared_by_all(cohort)}." if any(law for _, law in broken) else ""
    for visit, law in broken:
        if law is not None:
            path = cohort.image_path(cohort.biopsies[visit.rows[0]], request.resample_to)
            problems.add(cohort.label_of(path), f"{law} {advice}")


def _broken(visit: Visit, usual: Sequence[DoubleArray]) -> str | None:
    """The law that a visit without the reference breaks."""
    others = [name for name, one in visit.images.items() if not same_places(visit.grid, one.grid)]
    if others:
        grids = "; ".join(f"{name}: {_words(one.grid)}" for name, one in visit.images.items())
        return f"who lacks it must have one grid where spacing_mm is not set, but got several ({grids})."
    mine = visit.grid.voxel_size
    if usual and not any(np.allclose(mine, size, rtol=_LIKE, atol=0) for size in usual):
        return (
            "who lacks it must have voxels as large as those who have it where spacing_mm is not set "
            f"({_product(usual[0])} mm), but got {_product(mine)} mm."
        )
    return None


def _words(grid: Grid) -> str:
    return f"{_product(grid.canonical_shape)} voxels of {_product(grid.voxel_size)} mm"


def _product(numbers: Iterable[float]) -> str:
    return " x ".join(f"{number:.4g}" for number in numbers)
