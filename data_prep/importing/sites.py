"""Whether the sites lie in their images, which tells a wrong space before anything is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from data_prep.cohort_file import Coordinates
from data_prep.geometry import Grid, stored_voxel
from data_prep.problems import named

_WAYS = (
    Coordinates(space="voxel"),
    Coordinates(space="world", convention="RAS"),
    Coordinates(space="world", convention="LPS"),
)
_SHOWN = 10


def outside(
    sites: Mapping[int, tuple[Grid, Sequence[float]]], coordinates: Coordinates, name: str
) -> tuple[str, ...]:
    """A warning where sites lie outside their images; it names a way to read them by which all lie inside.

    Args:
        sites: The grid of an image and x, y, z, by row number.
        coordinates: How they are meant.
        name: Of the table, as problems quote it.
    """
    rows = [row for row, (grid, site) in sites.items() if not _inside(grid, site, coordinates)]
    if not rows:
        return ()
    better = [
        way
        for way in _WAYS
        if way != coordinates and all(_inside(grid, site, way) for grid, site in sites.values())
    ]
    hint = "Are --space and --convention right?"
    if better:
        hint = f"As {' or as '.join(map(_named, better))} all lie inside: is that meant?"
    return (
        f"{name}: {len(rows)} of {len(sites)} sites lie outside their images as {_named(coordinates)} "
        f"(rows: {named([*map(str, rows)], _SHOWN)}). {hint}",
    )


def _inside(grid: Grid, site: Sequence[float], way: Coordinates) -> bool:
    stored = stored_voxel(grid, site, way)
    return bool(np.all((stored >= 0) & (stored < np.array(grid.shape))))


def _named(way: Coordinates) -> str:
    return "voxel indices" if way.space == "voxel" else f"millimetres in {way.convention}"
