"""The ways in which three coordinates of a site can be meant, and what to write where another one is right.

A reading takes the coordinates of a table to voxels of a grid. The one that cohort.toml states is
"declared"; the others are the usual mistakes, tried to see whether they explain the sites better.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np

from data_prep.arrays import DoubleArray, IntArray
from data_prep.cohort_file import Coordinates
from data_prep.geometry import Grid, canonical_voxel, stored_voxel

DECLARED: Final = "declared"
FROM_ONE: Final = "from one"
_VOXEL: Final = Coordinates(space="voxel")
_RAS: Final = Coordinates(space="world", convention="RAS")
_LPS: Final = Coordinates(space="world", convention="LPS")

Reader = Callable[[Grid, DoubleArray, Coordinates], IntArray]


@dataclass(frozen=True)
class Reading:
    """One way to read coordinates.

    Attributes:
        words: What the coordinates would be.
        advice: What to do if they are.
        voxel: From a grid, x, y, z and what is declared to the canonical voxel, shape (3,).
        mirrors: Whether left and right change places, and nothing else.
        slight: Whether sites hardly move, so that only many of them can tell it from the declared one.
    """

    words: str
    advice: str
    voxel: Reader
    mirrors: bool = False
    slight: bool = False


def _as_declared(grid: Grid, site: DoubleArray, declared: Coordinates) -> IntArray:
    return canonical_voxel(grid, stored_voxel(grid, site.tolist(), declared))


def _as(coordinates: Coordinates) -> Reader:
    return lambda grid, site, _: _as_declared(grid, site, coordinates)


def _turned(order: tuple[int, int, int]) -> Reader:
    """The columns in another order, otherwise as declared."""
    return lambda grid, site, declared: _as_declared(grid, site[list(order)], declared)


def _signed(*signs: float) -> Reader:
    """Columns with another sign, otherwise as declared; in voxels, counted from the other end."""
    sign = np.array(signs)

    def read(grid: Grid, site: DoubleArray, declared: Coordinates) -> IntArray:
        if declared.space == "world":
            return _as_declared(grid, sign * site, declared)
        return _as_declared(grid, np.where(sign < 0, np.array(grid.shape) - 1 - site, site), declared)

    return read


def _mirrored_image(grid: Grid, site: DoubleArray, declared: Coordinates) -> IntArray:
    voxel = _as_declared(grid, site, declared)
    return np.array([grid.canonical_shape[0] - 1 - voxel[0], voxel[1], voxel[2]])


def _canonical_index(grid: Grid, site: DoubleArray, _: Coordinates) -> IntArray:
    """An index into the volume in RAS order; a grid of the same voxels stored so."""
    return _as_declared(Grid(grid.canonical_shape, grid.canonical_affine), site, _VOXEL)


def _from_one(grid: Grid, site: DoubleArray, declared: Coordinates) -> IntArray:
    """Indices that count from 1; millimetres count nothing."""
    return _as_declared(grid, site - 1 if declared.space == "voxel" else site, declared)


def _from_first_voxel(grid: Grid, site: DoubleArray, _: Coordinates) -> IntArray:
    return _as_declared(grid, site / np.linalg.norm(grid.affine[:3, :3], axis=0), _VOXEL)


_TURN = "Write the columns in the order x, y, z."
_SIGN = "Turn the sign of that column (in voxels: count from the other end), or mend the affines."

READINGS: Final[Mapping[str, Reading]] = MappingProxyType(
    {
        DECLARED: Reading("as cohort.toml says", "", _as_declared),
        "world RAS": Reading(
            "millimetres in RAS", 'Write space = "world", convention = "RAS" in cohort.toml.', _as(_RAS)
        ),
        "world LPS": Reading(
            "millimetres in LPS", 'Write space = "world", convention = "LPS" in cohort.toml.', _as(_LPS)
        ),
        "voxel": Reading("voxel indices", 'Write space = "voxel" in cohort.toml.', _as(_VOXEL)),
        "voxel in RAS order": Reading(
            "voxel indices into the volume in RAS order, not as it is stored",
            "Store the volumes in that order, or count as they are stored.",
            _canonical_index,
        ),
        "x flipped": Reading("mirrored left to right (x)", _SIGN, _signed(-1, 1, 1), mirrors=True),
        "y flipped": Reading("mirrored front to back (y)", _SIGN, _signed(1, -1, 1)),
        "z flipped": Reading("mirrored top to bottom (z)", _SIGN, _signed(1, 1, -1)),
        "order z, y, x": Reading("written in the order z, y, x", _TURN, _turned((2, 1, 0))),
        "order y, x, z": Reading("written in the order y, x, z", _TURN, _turned((1, 0, 2))),
        "order x, z, y": Reading("written in the order x, z, y", _TURN, _turned((0, 2, 1))),
        "order y, z, x": Reading("written in the order y, z, x", _TURN, _turned((2, 0, 1))),
        "order z, x, y": Reading("written in the order z, x, y", _TURN, _turned((1, 2, 0))),
        "mm from first voxel": Reading(
            "millimetres from the first voxel",
            'Divide them by the voxel size and write space = "voxel" in cohort.toml.',
            _from_first_voxel,
        ),
        "image mirrored": Reading(
            "right, but the images mirrored left to right",
            "Hold the images against the originals, and mend the affines or the voxels.",
            _mirrored_image,
            mirrors=True,
        ),
        FROM_ONE: Reading("counted from 1", "Subtract 1 from x, y and z.", _from_one, slight=True),
    }
)
"""By name; of readings that explain a cohort alike, the first is named."""

OTHERS: Final = tuple(name for name, one in READINGS.items() if name != DECLARED and not one.slight)
"""Names of the readings that move sites far."""


def canonical_voxels(name: str, grid: Grid, sites: DoubleArray, declared: Coordinates) -> IntArray:
    """Canonical voxels of sites by one reading; they may lie outside.

    Args:
        name: A name of `READINGS`.
        grid: Of the image.
        sites: As in the table, shape (k, 3).
        declared: What cohort.toml says.

    Returns:
        Shape (k, 3).
    """
    read = READINGS[name].voxel
    return np.array([read(grid, site, declared) for site in sites], dtype=np.int64).reshape(-1, 3)
