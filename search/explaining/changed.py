"""Copies of patches in which something is another's, or covered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from data_prep.arrays import FloatArray, IntArray
from data_prep.histogram_matching import location_and_spread
from data_prep.patch_set import PatchSet

_OF_A_SEQUENCE = ("present", "mean", "std", "landmarks")


@dataclass(frozen=True)
class Cover:
    """What is covered of a patch.

    Attributes:
        sequence: Its number; None covers all.
        block: Where it begins and ends along the two axes, in voxels; None covers the whole patch.
    """

    sequence: int | None = None
    block: tuple[slice, slice] | None = None


def cropped(patches: PatchSet, radius: int) -> PatchSet:
    """The same patches at a smaller radius, as they would have been extracted.

    Raises:
        InputError: The radius is larger than what was extracted.
    """
    if radius == patches.radius:
        return patches
    margin = slice(patches.radius - radius, patches.radius + radius + 1)
    inner: dict[str, npt.NDArray[Any]] = {
        name: array[:, margin, margin] if name in ("raw", "padding", "unseen") else array
        for name, array in patches.arrays().items()
    }
    inner["raw"] = patches.raw_images(radius)
    return _like(patches, inner, 1, replace(patches.request, radius=radius))


def neutral_values(patches: PatchSet, training: PatchSet) -> FloatArray:
    """What stands for "nothing to see" in each sequence of each biopsy, in units of its image; shape (n, C).

    It is the mean by which the image is normalised, so that the covered part is 0 in normalised units; where
    histograms are matched, the image's mean by its landmarks. A quantitative map has no mean of its own:
    there it is the mean of the patches that the model learned from.

    Args:
        patches: Of n biopsies.
        training: Those that the model learned from.
    """
    values = np.array(patches.mean)
    for column, method in enumerate(patches.request.methods):
        if method == "nyul":
            marks = patches.landmarks[:, column].astype(np.float64)
            values[:, column] = [location_and_spread(row)[0] for row in marks]
        elif method == "none":
            places = slice(column, None, len(patches.sequences))
            seen = training.raw[..., places][training.measured(training.radius)[..., places]]
            values[:, column] = seen.mean(dtype=np.float64) if len(seen) else 0.0
    return values


def covered(patches: PatchSet, covers: Sequence[Cover], neutral: FloatArray) -> PatchSet:
    """The patches once for each cover, covered by it; what is padded, absent or unseen stays so.

    Args:
        patches: Of n biopsies.
        covers: What to cover.
        neutral: What to cover it with, as `neutral_values` gives it.

    Returns:
        len(covers) * n patches, those of a cover in a row.
    """
    arrays, count, channels = _repeated(patches, len(covers)), len(patches), len(patches.sequences)
    measured, values = patches.measured(patches.radius), np.tile(neutral, patches.slices)[:, None, None, :]
    for number, cover in enumerate(covers):
        first, second = cover.block or (slice(None), slice(None))
        part = (
            slice(None),
            first,
            second,
            slice(cover.sequence, None, channels if cover.sequence is not None else 1),
        )
        raw = arrays["raw"][number * count : (number + 1) * count]
        shown = np.broadcast_to(values, raw.shape)[part]
        raw[part] = np.where(measured[part], shown, raw[part])
    return _like(patches, arrays, len(covers))


def exchanged(patches: PatchSet, sequence: int, orders: IntArray) -> PatchSet:
    """The patches once for each order, one sequence of each biopsy being that of another.

    The sequence goes over whole: its intensities, the numbers by which it is normalised, and whether it is
    there. Voxels beyond the grid of either biopsy are beyond it, or unseen, in the copy.

    Args:
        patches: Of n biopsies.
        sequence: Its number.
        orders: The biopsy that each takes the sequence from, shape (d, n).

    Returns:
        d * n patches, those of an order in a row.
    """
    arrays, channels = _repeated(patches, len(orders)), len(patches.sequences)
    own, sources = np.tile(np.arange(len(patches)), len(orders)), orders.ravel()
    places = slice(sequence, None, channels)
    for name in _OF_A_SEQUENCE:
        arrays[name][:, sequence] = getattr(patches, name)[sources, sequence]
    padded, beyond = patches.padding[own], patches.padding[sources]
    arrays["raw"][..., places] = np.where(padded, 0, patches.raw[..., places][sources])
    lost = beyond & ~padded & patches.present[sources, sequence][:, None, None, None]
    if patches.unseen is not None:
        lost |= patches.unseen[..., places][sources] & ~padded
    if patches.unseen is not None or lost.any():
        unseen = arrays.setdefault("unseen", np.zeros(arrays["raw"].shape, dtype=np.bool_))
        unseen[..., places] = lost
    return _like(patches, arrays, len(orders))


def _repeated(patches: PatchSet, copies: int) -> dict[str, npt.NDArray[Any]]:
    return {
        name: np.tile(array, (copies, *(1,) * (array.ndim - 1))) for name, array in patches.arrays().items()
    }


def _like(
    patches: PatchSet, arrays: dict[str, npt.NDArray[Any]], copies: int, request: Any = None
) -> PatchSet:
    return PatchSet(
        **arrays,
        biopsy_id=patches.biopsy_id * copies,
        participant_id=patches.participant_id * copies,
        request=request or patches.request,
    )
