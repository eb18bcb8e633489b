"""Features without texture: which sequences there are, and how bright each is around the site."""

from __future__ import annotations

import numpy as np

from data_prep.features.table import FeatureTable
from data_prep.patch_set import PatchSet


def missingness(patches: PatchSet) -> FeatureTable:
    """1 where a biopsy has a sequence, 0 where not; a column "has:T1" for each, constant ones too."""
    names = tuple(f"has:{sequence}" for sequence in patches.sequences)
    return FeatureTable(patches.present.astype(np.float64), names)


def roi_means(patches: PatchSet, radius: int) -> FeatureTable:
    """Mean of each sequence over the disc of voxels within `radius` of the site, in all slices.

    Padded voxels count as `PatchSet.images` shows them.

    Returns:
        Columns "T1:mean"; NaN where the biopsy lacks the sequence.

    Raises:
        InputError: `radius` is larger than what was extracted.
    """
    offset = np.arange(-radius, radius + 1)
    disc = offset[:, None] ** 2 + offset**2 <= radius**2
    inside = patches.images(radius)[:, disc].astype(np.float64)
    means = inside.reshape(len(patches), -1, len(patches.sequences)).mean(axis=1)
    names = tuple(f"{sequence}:mean" for sequence in patches.sequences)
    return FeatureTable(np.where(patches.present, means, np.nan), names)
