"""The in-plane edges of the voxels that patches are made of, known before any patch is cut."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from data_prep.arrays import DoubleArray
from data_prep.geometry import Grid
from data_prep.records import Cohort
from data_prep.survey import first_grids

# Affines are kept in single precision, so their last digits hang on how a grid was stored.
_DECIMALS = 5


def in_plane_mm(spacing_mm: float | None, grid: Grid) -> DoubleArray:
    """Edges of a patch's voxels along its two axes in mm, shape (2,).

    Args:
        spacing_mm: Of the patch, None for the grid's own voxels.
        grid: Of the image that it is cut from.
    """
    if spacing_mm is not None:
        return np.full(2, float(spacing_mm))
    return np.round(grid.voxel_size[:2], _DECIMALS)


def in_plane_spacing(
    cohort: Cohort, sequences: Sequence[str], spacing_mm: float | None, resample_to: str | None = None
) -> float:
    """The smallest in-plane edge of a voxel, in mm, over the patches of all biopsies.

    One header a participant (or session) is read, and none where `spacing_mm` says it all.

    Args:
        cohort: The cohort.
        sequences: Those that patches are cut from.
        spacing_mm: Of the patches, None for the images' own voxels.
        resample_to: The sequence on whose voxels they are cut then, None for that of all sequences.

    Raises:
        InputError: No image has a readable header.
    """
    if spacing_mm is not None:
        return float(spacing_mm)
    return min(float(in_plane_mm(None, grid).min()) for grid in first_grids(cohort, sequences, resample_to))
