"""Tumours: a necrotic core, an enhancing rim and oedema of irregular outline, in white matter of one side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import ndimage

from data_prep.arrays import BoolArray, DoubleArray, FloatArray
from data_prep.phantom.fields import GaussianField, draw_field
from data_prep.phantom.head import Head

_RADIUS: Final = 0.22  # of the grid's edge: 14 mm at 64
_LARGEST: Final = 26.0  # mm
_AXES: Final = np.array([0.76, 1.06, 1.0])  # flattened from side to side, as a hemisphere is
_CORE, _RIM = 0.44, 0.63  # where they end, in units of the outline
_ROUGHNESS: Final = 0.18
_REACH: Final = np.array([3.0, 5.5])  # mm from the outline where the field begins and ends to fade


@dataclass(frozen=True)
class Shape:
    """A tumour drawn for one head.

    Attributes:
        centre: In voxels, shape (3,).
        radii: In voxels, shape (3,).
        side: -1 for the left, 1 for the right hemisphere.
        outline: What makes the surface irregular.
    """

    centre: DoubleArray
    radii: DoubleArray
    side: int
    outline: GaussianField


@dataclass(frozen=True)
class Tumour:
    """A tumour on the grid, arrays of shape (n, n, n).

    Attributes:
        core: Fraction of necrosis.
        rim: Fraction of enhancing tissue.
        oedema: Fraction of oedema.
        mask: Voxels of the three together.
        reach: How much of the hidden field a voxel shows: 1 in the tumour and near it, below 0 in remote
            tissue, 0 on the average of the brain.
    """

    core: FloatArray
    rim: FloatArray
    oedema: FloatArray
    mask: BoolArray
    reach: FloatArray


def draw_shape(head: Head, rng: np.random.Generator) -> Shape:
    """Draw place, size and outline of a tumour in a head."""
    size = head.wm.shape[0]
    middle, side = (size - 1) / 2, int(rng.choice([-1, 1]))
    wanted = middle + size * np.array([side * 0.17, rng.uniform(-0.12, 0.12), rng.uniform(-0.02, 0.1)])
    white = np.argwhere(head.wm > 0.6)
    centre = white[np.argmin(((white - wanted) ** 2).sum(axis=1))].astype(float)
    radii = min(_RADIUS * size, _LARGEST) * _AXES * rng.uniform(0.95, 1.05, size=3)
    return Shape(centre, radii, side, draw_field(size, 0.4 * float(radii.mean()), rng))


def make_tumour(head: Head, shape: Shape, shift: DoubleArray) -> Tumour:
    """Place a drawn tumour in its head.

    Args:
        head: The head it was drawn for, displaced by `shift` or not.
        shape: What `draw_shape` drew.
        shift: Displacement (x, y, z) in voxels.
    """
    level, inner = _levels(head, shape, shift)
    edge = 0.4 / float(shape.radii.mean())
    ends = ((_CORE, inner), (_RIM, inner), (1.0, level))
    core, rim, whole = (np.clip(0.5 + (end - values) / (2 * edge), 0, 1) for end, values in ends)
    rim = np.minimum(rim, whole)
    core = np.minimum(core, rim)
    mask = ndimage.binary_opening(level < 1)
    distance = ndimage.distance_transform_edt(~mask)
    reach = _REACH * min(1.0, head.wm.shape[0] / 64)
    near = np.interp(distance, reach, (1, 0)).astype(np.float32)
    share = near[head.brain > 0.5].mean()
    return Tumour(core, rim - core, whole - rim, mask, (near - share) / (1 - share))


def _levels(head: Head, shape: Shape, shift: DoubleArray) -> tuple[FloatArray, FloatArray]:
    """Distance from the centre in units of the irregular outline, of the whole tumour and of its rim.

    Outside the brain and across the midline the distance grows beyond 1.
    """
    size = head.wm.shape[0]
    grid = [np.arange(size) - move for move in shift]
    scaled = [(axis - at) / radius for axis, at, radius in zip(grid, shape.centre, shape.radii, strict=True)]
    x, y, z = np.ix_(*scaled)
    round_level = np.sqrt(x**2 + y**2 + z**2)
    level = round_level / np.exp(_ROUGHNESS * shape.outline.at(*grid)) * (1.075 - 0.15 * head.wm)
    level += np.clip(1 - head.brain, 0, 1)
    level += np.clip(-shape.side * (grid[0] - (size - 1) / 2) - size / 64, 0, None)[:, None, None]
    elsewhere = shape.outline.at(*(axis + shape.outline.period / 2 for axis in grid))
    inner = round_level / np.exp(_ROUGHNESS * elsewhere)
    return level.astype(np.float32), inner.astype(np.float32)
