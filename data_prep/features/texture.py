"""First-order, co-occurrence and Gabor features of every sequence of every biopsy."""

from __future__ import annotations

import numpy as np

from data_prep.arrays import DoubleArray, FloatArray
from data_prep.features.first_order import first_order
from data_prep.features.gabor import gabor
from data_prep.features.glcm import glcm
from data_prep.features.levels import grey_levels
from data_prep.features.table import FeatureTable
from data_prep.intensity import COHORT_FITTED
from data_prep.patch_set import PatchSet
from data_prep.problems import InputError

# Patches at work at once: few enough to stay in a core's cache, many enough that Python does not count.
_BLOCK = 128


def texture(patches: PatchSet, radius: int) -> FeatureTable:
    """Texture of the square patch, sequence by sequence.

    First-order statistics are of the voxels of all slices; co-occurrence and Gabor features are those of one
    slice, averaged over the slices, so that the number of features does not grow with them. Padded voxels
    count as `PatchSet.images` shows them.

    Args:
        patches: In units of a spread, as the edges of the grey levels are: normalised image by image, or by
            `fold_input.FoldInput.normalised`.
        radius: At least 1, since one voxel has no neighbours.

    Returns:
        Columns such as "T1:glcm_contrast"; NaN where the biopsy lacks the sequence.

    Raises:
        InputError: `radius` is 0 or larger than what was extracted, or intensities are in no such units.
    """
    _check_units(patches)
    if radius == 0:
        raise InputError("texture features need a patch radius of at least 1, but got 0.")
    stacks = _stacks(patches, radius)
    # At least one, so that the names are known even where nobody has any of the sequences.
    starts = range(0, max(len(stacks), 1), _BLOCK)
    blocks = [_features(stacks[start : start + _BLOCK]) for start in starts]
    found = {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
    values = np.full((*patches.present.shape, len(found)), np.nan)
    values[patches.present] = np.stack([*found.values()], axis=1)
    names = tuple(f"{sequence}:{name}" for sequence in patches.sequences for name in found)
    return FeatureTable(values.reshape(len(patches), -1), names)


def _check_units(patches: PatchSet) -> None:
    """A cohort-fitted scale is never the 0 and 1 of what is not normalised, but where nothing needs it."""
    for column, method in enumerate(patches.request.methods):
        rows = patches.present[:, column]
        scaled = (patches.mean[rows, column] != 0) | (patches.std[rows, column] != 1)
        raw = patches.raw[..., column :: len(patches.sequences)]
        if method in COHORT_FITTED and not scaled.any() and raw.any():
            raise InputError(
                "texture features need intensities in units of a spread, as their grey levels are, but "
                f"{patches.sequences[column]} with normalisation '{method}' gets its units from a training "
                "fold only, and they were not fitted yet."
            )


def _stacks(patches: PatchSet, radius: int) -> FloatArray:
    """The slices of every sequence that a biopsy has, shape (stacks, slices, edge, edge)."""
    images = patches.images(radius)
    apart = images.reshape(*images.shape[:3], patches.slices, len(patches.sequences))
    return apart.transpose(0, 4, 3, 1, 2)[patches.present]


def _features(stacks: FloatArray) -> dict[str, DoubleArray]:
    """Features by name, shape (stacks,), of shape (stacks, slices, edge, edge)."""
    count, slices, edge, _ = stacks.shape
    planes = stacks.reshape(count * slices, edge, edge).astype(np.float64)
    planar = {
        **{f"glcm_{name}": values for name, values in glcm(grey_levels(planes)).items()},
        **gabor(planes),
    }
    averaged = {name: values.reshape(count, slices).mean(axis=1) for name, values in planar.items()}
    return {**first_order(planes.reshape(count, slices * edge * edge)), **averaged}
