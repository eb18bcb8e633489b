"""One reading of a volume: what quality control must know of its voxels."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from data_prep.arrays import FloatArray
from data_prep.check.subject import Digest, block_averaged
from data_prep.imprints import imprint
from data_prep.moments import Moments
from data_prep.problems import InputError
from data_prep.volumes import Volume, slabs

_LEAST_BOTTOM = 1e-3  # share of voxels at the least value, below which it is no use to look where they are

_PEAK = 1  # times the voxels of the next value, from which the least one is more than a tail


def digest_of(volume: Volume) -> Digest:
    """Read a volume to its end; NaN and what is infinite as float32 are counted, not refused.

    Raises:
        InputError: As `volumes.slabs`, for a file that is truncated or damaged.
    """
    voxels = volume.grid.to_canonical(_voxels(volume))
    finite = np.isfinite(voxels)
    unusable = int(voxels.size - np.count_nonzero(finite))
    content = imprint(voxels)
    if unusable:
        usable, voxels = voxels[finite], np.where(finite, voxels, np.float32(0))
    else:
        usable = voxels.ravel(order="K")
    moments = Moments()
    moments.add(usable)
    low, high, at_bottom, at_top, zeros = _ends(usable)
    return Digest(
        low=low,
        high=high,
        mean=moments.mean,
        std=moments.std,
        zeros=zeros / voxels.size,
        negative=int(np.count_nonzero(usable < 0)) / voxels.size,
        unusable=unusable,
        at_top=at_top,
        at_bottom=at_bottom,
        content=content,
        small=block_averaged(voxels),
        enclosed=_enclosed(voxels, at_bottom) if at_top + at_bottom < 1 else 0.0,
    )


def _voxels(volume: Volume) -> FloatArray:
    """All voxels as stored, scaled; those that are not finite too."""
    voxels = np.empty(volume.grid.shape, dtype=np.float32, order="F")
    try:
        for start, slab in slabs(volume):
            voxels[:, :, start : start + slab.shape[2]] = volume.scaled(slab)
    except InputError as error:
        # What broke the reading is the cause; voxels that are not finite have none, and were all read.
        if error.__cause__ is not None:
            raise
    return voxels


def _ends(usable: FloatArray) -> tuple[float, float, float, float, int]:
    """Least and greatest value, the shares of what is not zero that hold its own ends, and how many zeros."""
    if not usable.size:
        return (np.nan, np.nan, 0.0, 0.0, 0)
    filled = usable[usable != 0]
    ends = (float(usable.min()), float(usable.max()))
    if not filled.size:
        return (*ends, 0.0, 0.0, usable.size)
    bottom, top = (np.count_nonzero(filled == end) / filled.size for end in (filled.min(), filled.max()))
    return (*ends, bottom, top, usable.size - filled.size)


def _enclosed(voxels: FloatArray, at_bottom: float) -> float:
    """The part of `at_bottom` that is no background: not connected with the rim through its like.

    0 too where the next value is as frequent, as at the tail of noise in whole numbers.
    """
    if at_bottom < _LEAST_BOTTOM:
        return 0.0
    filled = voxels != 0
    lowest = filled & (voxels == voxels[filled].min())
    labels, count = ndimage.label(lowest)
    rim = [np.unique(np.take(labels, end, axis=axis)) for axis in range(3) for end in (0, -1)]
    is_background = np.zeros(count + 1, dtype=np.bool_)
    is_background[np.concatenate(rim)] = True
    is_background[0] = True
    enclosed = int(np.count_nonzero(~is_background[labels]))
    above = voxels[filled & ~lowest]
    is_tail = enclosed <= _PEAK * np.count_nonzero(above == above.min())
    return 0.0 if is_tail else enclosed / int(np.count_nonzero(filled))
