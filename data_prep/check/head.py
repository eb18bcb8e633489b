"""Where the head is in images that have no mask: what stands out from the air in the corners."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np
from scipy import ndimage

from data_prep.arrays import BoolArray, DoubleArray, FloatArray
from data_prep.check.subject import block_steps

# Air varies by its noise, of which a head stands out by many times; in what has no air, nothing does.
_NOISES: Final = 6.0
_LEAST_CONTRAST: Final = 0.05  # of the way from air to the brightest percent
_SHARES: Final = (0.02, 0.95)  # of the volume that a head can fill


@dataclass(frozen=True, eq=False)
class Head:
    """The head in the blocks of small volumes.

    Attributes:
        blocks: Whether a block holds some of it.
        steps: Voxels of a block along each canonical axis, shape (3,).
    """

    blocks: BoolArray
    steps: DoubleArray


def find_head(smalls: Sequence[FloatArray], shape: tuple[int, int, int]) -> Head | None:
    """Find the head in the images of a participant.

    Args:
        smalls: Their `Digest.small`, of one shape.
        shape: Canonical shape of the grid.

    Returns:
        None where the corners hold no air that can be told from the rest.
    """
    found = [blocks for small in smalls if (blocks := _outstanding(small)) is not None]
    if not found:
        return None
    blocks = ndimage.binary_fill_holes(np.any(found, axis=0))
    return Head(blocks, np.array(block_steps(shape), dtype=np.float64))


def _outstanding(small: FloatArray) -> BoolArray | None:
    """The largest part that stands out from the corners."""
    corners = np.concatenate(
        [small[_corner(small.shape, ends)].ravel() for ends in product((0, 1), repeat=3)]
    )
    air = float(np.median(corners))
    noise = 1.4826 * float(np.median(np.abs(corners - air)))
    distance = np.abs(small - air)
    limit = max(_NOISES * noise, _LEAST_CONTRAST * float(np.quantile(distance, 0.99)))
    labels, count = ndimage.label(distance > limit)
    if not count:
        return None
    blocks = labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    return blocks if _SHARES[0] <= blocks.mean() <= _SHARES[1] else None


def _corner(shape: tuple[int, ...], ends: tuple[int, ...]) -> tuple[slice, ...]:
    """An eighth of each edge, from its start or its end."""
    width = [max(1, size // 8) for size in shape]
    return tuple(
        slice(size - part, size) if end else slice(0, part)
        for size, part, end in zip(shape, width, ends, strict=True)
    )
