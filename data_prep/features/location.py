"""Where in the brain a biopsy was taken: what a model may know without any image intensity."""

from __future__ import annotations

import numpy as np

from data_prep.arrays import IntArray
from data_prep.brain import BrainMask, read_brain
from data_prep.cohort import Cohort
from data_prep.features.table import FeatureTable
from data_prep.geometry import canonical_voxel
from data_prep.problems import InputError, Problems
from data_prep.survey import Visit, in_parallel, survey

Box = tuple[IntArray, IntArray]

_NAMES = ("right", "anterior", "superior")


def location(cohort: Cohort, sequences: tuple[str, ...], resample_to: str | None = None) -> FeatureTable:
    """Position of each site in the box around the brain mask, or in the whole image where there is no mask.

    Args:
        cohort: The cohort.
        sequences: Of the study; their headers tell the grid.
        resample_to: The sequence whose grid counts where a participant's grids differ.

    Returns:
        Columns "right", "anterior", "superior" in the order of the biopsies: 0 at the outermost voxel on the
        left, behind, below, and 1 at the opposite one; beyond for a site outside the mask's box.

    Raises:
        InputError: Every problem of the headers, the sites and the masks.
    """
    problems = Problems()
    visits = survey(cohort, sequences, problems, resample_to).visits
    problems.raise_any()
    boxes = in_parallel(lambda visit: _box(cohort, visit), visits, None)
    values = np.full((len(cohort.biopsies), 3), np.nan)
    for visit, box in zip(visits, boxes, strict=True):
        if isinstance(box, InputError):
            problems.extend(box)
        else:
            values[visit.rows] = in_box(visit.sites, *box).values
    problems.raise_any()
    return FeatureTable(values, _NAMES)


def _box(cohort: Cohort, visit: Visit) -> Box | InputError:
    """The box that a visit's sites are seen in, or what is wrong with its mask."""
    if visit.brain is None:
        return np.zeros(3, dtype=np.int64), np.array(visit.grid.canonical_shape, dtype=np.int64) - 1
    try:
        return bounding_box(read_brain(visit.brain).in_order_of(visit.grid))
    except InputError as error:
        return InputError(f"{cohort.label_of(visit.brain.path)}: {error}")


def in_box(sites: IntArray, low: IntArray, high: IntArray) -> FeatureTable:
    """Positions in a box, columns as of `location`.

    Args:
        sites: Canonical voxels, shape (n, 3).
        low: The outermost voxel of the box on the left, behind, below, shape (3,): 0 along each axis.
        high: The opposite one: 1, or the middle where both are one voxel.
    """
    extent = high - low
    return FeatureTable(np.where(extent > 0, (sites - low) / np.maximum(extent, 1), 0.5), _NAMES)


def bounding_box(mask: BrainMask) -> Box:
    """The outermost canonical voxels of a mask that is true somewhere, both inclusive, shape (3,) each."""
    nx, ny, _ = mask.grid.shape
    shadow = np.unpackbits(np.bitwise_or.reduce(mask.bits, axis=0), count=nx * ny).reshape(nx, ny, order="F")
    occupied = (shadow.any(axis=1), shadow.any(axis=0), mask.bits.any(axis=1))
    ends = np.array([np.flatnonzero(axis)[[0, -1]] for axis in occupied])
    corners = np.stack([canonical_voxel(mask.grid, ends[:, end]) for end in (0, 1)])
    return corners.min(axis=0), corners.max(axis=0)
