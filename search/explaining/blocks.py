"""A patch cut into blocks: an odd number along each axis, so that one is centred on the biopsy."""

from __future__ import annotations

import numpy as np

from data_prep.arrays import IntArray


def block_edges(radius: int, most: int) -> IntArray:
    """Where blocks begin along one axis, and where the last one ends.

    The blocks are the same on both sides of the centre, and as equal as that allows.

    Args:
        radius: Of the patch, whose edge is E = 2 * radius + 1 voxels.
        most: How many blocks are wanted, an odd number; a smaller patch has one a voxel.

    Returns:
        Voxels from 0 to E, shape (blocks + 1,).

    >>> block_edges(8, 5), block_edges(1, 5)
    (array([ 0,  4,  7, 10, 13, 17]), array([0, 1, 2, 3]))
    """
    edge = 2 * radius + 1
    count = min(most, edge)
    centre = 2 * round((edge / count - 1) / 2) + 1
    side = (
        [len(part) for part in np.array_split(np.arange((edge - centre) // 2), count // 2)]
        if count > 1
        else []
    )
    return np.concatenate([[0], np.cumsum([*side, centre, *side[::-1]])]).astype(np.int64)


def in_millimetres(edges: IntArray, voxel_mm: float) -> list[float]:
    """The edges as distances from the centre of the patch.

    >>> in_millimetres(block_edges(1, 3), 2.0)
    [-3.0, -1.0, 1.0, 3.0]
    """
    return [float(x) for x in (edges - edges[-1] / 2) * voxel_mm]
