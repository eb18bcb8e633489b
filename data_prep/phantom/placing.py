"""Where a phantom's grids lie in the world, and in which order their voxels are stored."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations, product
from types import ModuleType
from typing import Any, Final

import nibabel.orientations
import numpy as np
import numpy.typing as npt

from data_prep.arrays import DoubleArray
from data_prep.phantom.head import rotation
from data_prep.phantom.lattice import lattice_of
from data_prep.phantom.spec import PhantomSpec
from data_prep.phantom.streams import stream

# As a plain module, because its functions carry no annotations.
_ORIENTATIONS: ModuleType = nibabel.orientations

ORDERS: Final = tuple(
    tuple(zip(axes, signs, strict=True))
    for axes in permutations(range(3))
    for signs in product((1, -1), repeat=3)
)
"""The 48 orders: for each axis of the head (right, anterior, superior) its place in a file and its sign."""


@dataclass(frozen=True, eq=False)
class Stored:
    """A grid as a file stores it.

    Attributes:
        affine: Voxel to world in the order of the head, shape (4, 4).
        order: One of `ORDERS`.
    """

    affine: DoubleArray
    order: tuple[tuple[int, int], ...]

    def stored(self, volume: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], DoubleArray]:
        """A volume in the order of the file, and its matrix from stored voxels to the world."""
        order = np.array(self.order)
        turned = _ORIENTATIONS.apply_orientation(volume, order)
        return np.asarray(turned), self.affine @ _ORIENTATIONS.inv_ornt_aff(order, volume.shape)


def stored_grid(spec: PhantomSpec, index: int, sequence: str | None = None) -> Stored:
    """The grid of a participant's sequence, without one that of the masks."""
    affine = draw_affine(spec, index) @ lattice_of(spec, sequence).to_mm
    return Stored(affine, draw_order(spec, index))


def draw_affine(spec: PhantomSpec, index: int) -> DoubleArray:
    """Draw a participant's matrix from mm in the field of view to the world: oblique, shape (4, 4)."""
    rng = stream(spec.seed, "affine", index)
    affine = np.eye(4)
    angles = rng.uniform(spec.oblique / 3, spec.oblique, size=3)
    affine[:3, :3] = rotation(angles * rng.choice([-1, 1], size=3))
    middle = affine[:3, :3] @ np.full(3, (spec.size - 1) / 2)
    affine[:3, 3] = rng.uniform(-8, 8, size=3) - middle
    return affine


def draw_order(spec: PhantomSpec, index: int) -> tuple[tuple[int, int], ...]:
    """The order in which a participant's files store their voxels; 48 participants in a row have all."""
    if spec.orientation != "mixed":
        return ORDERS[0]
    shuffled = stream(spec.seed, "orientation").permutation(len(ORDERS))
    return ORDERS[shuffled[index % len(ORDERS)]]
