"""Whether two smooth fields go together: against surrogates that are as smooth, not against single voxels.

Neighbouring voxels of a smooth field repeat each other, so that two fields that have nothing to do with each
other correlate far beyond what as many independent numbers would. The truth is therefore drawn again and
again by its own law, independent of the map. If the map knows nothing of the truth, the true one is a draw
among them, and the share of draws that correlate as much is a p-value, whatever the map looks like.

References:
    Phipson and Smyth 2010, "Permutation p-values should never be zero".
    Clifford, Richardson and Hemon 1989, "Assessing the significance of the correlation between two spatial
    processes" (the effective size).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import curve_fit

from data_prep.arrays import BoolArray, DoubleArray, FloatArray, IntArray
from data_prep.phantom.views import Axes

SURROGATES: Final = 499

_FINER = 3.0  # compared voxels lie so many times closer than a correlation length,
_COARSER = 1.5  # or so many times in a region whose box would have
_MANY = 50_000  # nodes or more, such as a whole brain
_FEWEST = 30  # of them; a small region is not thinned below
_BINS = 12  # lags of a variogram along each axis, at most

Draw = Callable[[np.random.Generator, Axes], FloatArray]
"""Draws a field on the grid of three axes in mm."""


@dataclass(frozen=True, eq=False)
class Thinned:
    """Voxels of a region that lie closely enough to know a smooth field by.

    Attributes:
        axes: The grid that holds them, in mm from 0.
        place: Of each on this grid, an index.
        voxels: Of each in the region's volume, an index.
    """

    axes: Axes
    place: tuple[npt.NDArray[np.intp], ...]
    voxels: tuple[npt.NDArray[np.intp], ...]


def thinned(inside: BoolArray, edges: DoubleArray, length: float) -> Thinned:
    """Every nth voxel of a region along each axis, a third of a correlation length apart, or two thirds.

    Args:
        inside: The region, shape (x, y, z); at least one voxel.
        edges: Of a voxel in mm, shape (3,).
        length: The correlation length in mm.
    """
    low, counts = _box(inside)
    steps = np.maximum(1, np.floor(length / (_FINER * edges))).astype(int)
    if np.prod(counts / steps) > _MANY:
        steps = np.maximum(1, np.floor(length / (_COARSER * edges))).astype(int)
    while True:
        part = inside[tuple(slice(start, None, step) for start, step in zip(low, steps, strict=True))]
        place = np.nonzero(part)
        if len(place[0]) >= _FEWEST or (steps == 1).all():
            break
        steps = np.maximum(1, steps // 2)
    x, y, z = (
        edge * step * np.arange(int(along.max()) + 1)
        for edge, step, along in zip(edges, steps, place, strict=True)
    )
    voxels = tuple(start + step * along for start, step, along in zip(low, steps, place, strict=True))
    return Thinned((x, y, z), place, voxels)


def _box(inside: BoolArray) -> tuple[IntArray, IntArray]:
    """The first voxel of a region along each axis, and how many it spans; shape (3,)."""
    along = [np.flatnonzero(inside.any(axis=others)) for others in ((1, 2), (0, 2), (0, 1))]
    low = np.array([one[0] for one in along], dtype=np.int64)
    return low, np.array([one[-1] + 1 for one in along], dtype=np.int64) - low


def surrogate_p(
    found: FloatArray | DoubleArray,
    truth: FloatArray | DoubleArray,
    near: Thinned,
    draw: Draw,
    rng: np.random.Generator,
    surrogates: int = SURROGATES,
) -> float:
    """How rarely chance alone correlates two fields as much, in either direction.

    Args:
        found: The map, a volume.
        truth: What it is held against.
        near: The voxels to compare.
        draw: The law of the truth.
        rng: Source of the surrogates.
        surrogates: B, how many.

    Returns:
        `(1 + #{|r_b| >= |r|}) / (B + 1)`, r over these voxels.
    """
    unit = standardised(found[near.voxels])
    observed = abs(unit @ standardised(truth[near.voxels]))
    drawn = (standardised(draw(rng, near.axes)[near.place]) for _ in range(surrogates))
    beyond = sum(bool(abs(unit @ other) >= observed) for other in drawn)
    return (1 + beyond) / (surrogates + 1)


def standardised(values: FloatArray | DoubleArray) -> DoubleArray:
    """Numbers, at least one, of mean 0 and length 1; zeros where nothing varies."""
    if values.min() == values.max():  # their mean may differ by rounding
        return np.zeros(len(values))
    centred = values.astype(np.float64) - values.mean(dtype=np.float64)
    return np.asarray(centred / np.linalg.norm(centred), np.float64)


def effective_size(volume_mm3: float, length: float) -> float:
    """To how many independent places a volume amounts for two fields of one correlation length.

    `V / (pi^1.5 l^3)`: the integral of the squared correlation `exp(-d^2 / l^2)` is the volume that a place
    takes.

    >>> round(effective_size(30_000, 6))
    25
    """
    return float(volume_mm3 / (np.pi**1.5 * length**3))


def correlation_length(
    field: FloatArray | DoubleArray, inside: BoolArray, edges: DoubleArray
) -> float | None:
    """The correlation length of a field, by its variogram along the axes up to half of the region's extent.

    Fitted is `n + s (1 - exp(-d^2 / 2 l^2))` with a nugget n, weighted by the pairs of voxels at each lag.

    Args:
        field: Shape (x, y, z).
        inside: Where it is known, likewise.
        edges: Of a voxel in mm, shape (3,).

    Returns:
        l in mm; None where the region is too small to tell it, and of a constant field.
    """
    lags, halves, pairs = _variogram(field, inside, edges)
    if len(lags) < 4 or not halves.max(initial=0.0) > 0:
        return None
    start = (0.0, float(halves.max()), float(lags.mean()))
    try:
        fitted, _ = curve_fit(
            lambda d, nugget, sill, length: nugget + sill * (1 - np.exp(-(d**2) / (2 * length**2))),
            lags, halves, p0=start, sigma=pairs**-0.5,
            bounds=([0, 0, float(edges.min()) / 10], [np.inf, np.inf, 10 * float(lags.max())]),
        )  # fmt: skip
    except RuntimeError:  # no fit within its steps
        return None
    length = float(fitted[2])
    return length if length <= lags.max() else None  # the sill lies beyond what was seen


def _variogram(
    field: FloatArray | DoubleArray, inside: BoolArray, edges: DoubleArray
) -> tuple[DoubleArray, DoubleArray, DoubleArray]:
    """Lags in mm, half the mean squared difference at each, and how many pairs of voxels it is of."""
    rows = []
    for axis, edge in enumerate(edges):
        values, known = np.moveaxis(field, axis, 0), np.moveaxis(inside, axis, 0)
        extent = np.flatnonzero(known.any(axis=(1, 2)))
        most = int(extent[-1] - extent[0] + 1) // 2
        for lag in np.unique(np.linspace(1, most, _BINS).astype(int)) if most else ():
            both = known[lag:] & known[:-lag]
            if both.any():
                apart = values[lag:][both].astype(np.float64) - values[:-lag][both]
                rows.append((lag * edge, float(np.mean(apart**2)) / 2, float(both.sum())))
    lags, halves, pairs = np.array(rows, dtype=np.float64).reshape(-1, 3).T
    return lags, halves, pairs
