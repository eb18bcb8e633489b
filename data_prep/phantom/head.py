"""Heads: nilearn's MNI152 tissue maps scaled to the grid, in a skull and a scalp of our own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from data_prep.arrays import DoubleArray, FloatArray
from data_prep.phantom.template import load_template

_FILLED: Final = (186.0, 218.0, 186.0)  # mm of template that span the grid along x, y, z
_SHELLS: Final = (3.0, 8.5, 15.0)  # mm outside the brain's hull where fluid, skull and scalp end


@dataclass(frozen=True)
class Head:
    """A head on the grid of a phantom, fractions of tissue of shape (n, n, n) each, the rest being air."""

    scalp: FloatArray
    skull: FloatArray
    csf: FloatArray
    gm: FloatArray
    wm: FloatArray

    @property
    def brain(self) -> FloatArray:
        """Fraction of what lies inside the skull."""
        return self.csf + self.gm + self.wm


def draw_pose(rng: np.random.Generator) -> DoubleArray:
    """Draw the size and tilt of a head: the linear map from grid to template directions, shape (3, 3)."""
    scale = 1 + 0.03 * rng.standard_normal(3).clip(-2, 2)
    return rotation(rng.uniform(-4, 4, size=3)) * scale


def rotation(degrees: DoubleArray) -> DoubleArray:
    """The rotation by three small angles about x, y and z in turn, shape (3, 3)."""
    matrix = np.eye(3)
    for axis, angle in enumerate(np.deg2rad(degrees)):
        turn = np.eye(3)
        i, j = (axis + 1) % 3, (axis + 2) % 3
        turn[i, i] = turn[j, j] = np.cos(angle)
        turn[j, i] = np.sin(angle)
        turn[i, j] = -turn[j, i]
        matrix = turn @ matrix
    return matrix


def make_head(size: int, pose: DoubleArray, shift: DoubleArray) -> Head:
    """Resample the template onto the grid.

    Args:
        size: Voxels along each edge.
        pose: What `draw_pose` drew.
        shift: Displacement (x, y, z) of the head in voxels.
    """
    filled = np.array(_FILLED)
    template = load_template(int(np.clip(round(filled.min() / size), 1, 3)))
    matrix = pose * (filled / size)[:, None]
    offset = template.centre - matrix @ ((size - 1) / 2 + shift)
    maps = (template.gm, template.wm, template.outside)
    gm, wm, outside = (volume.resample(matrix, offset, size) for volume in maps)
    within = [_soft(outside, edge, filled.max() / size) for edge in _SHELLS]
    brain = np.maximum(within[0], gm + wm)
    skull, scalp = np.clip(within[1] - brain, 0, 1), np.clip(within[2] - np.maximum(within[1], brain), 0, 1)
    return Head(scalp, skull, np.clip(brain - gm - wm, 0, 1), gm, wm)


def _soft(distance: FloatArray, edge: float, voxel: float) -> FloatArray:
    """Fraction of a voxel of `voxel` mm that lies within `edge` of the hull."""
    return np.asarray(np.clip(0.5 + (edge - distance) / voxel, 0, 1), np.float32)
