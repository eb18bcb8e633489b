"""A lattice of sites over the tumour of each participant who was scanned twice, as a cohort of its own.

Whatever cuts patches around biopsies cuts them around these sites, from the first scan or the second.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from data_prep.arrays import BoolArray, DoubleArray, IntArray
from data_prep.geometry import Grid, nearest_voxel, ras_sign, stored_voxel
from data_prep.problems import InputError, Problems
from data_prep.records import Biopsy, Cohort
from data_prep.repeats import second_scans
from data_prep.survey import Progress, first_grids, in_parallel
from data_prep.volumes import open_volume, read_volume

TUMOUR, NEAR = "tumour mask", "around the biopsies"
REACH_MM = 10.0
"""How far from a biopsy the sites go where there is no tumour mask."""


@dataclass(frozen=True)
class Spread:
    """How sites are laid.

    Attributes:
        stride_mm: Between neighbours, above 0.
        most: Sites a participant; of more, as many are drawn, the same ones each time.
        resample_to: The sequence on whose grid patches are cut; None for the grid that a visit's files share.
    """

    stride_mm: float
    most: int
    resample_to: str | None = None


@dataclass(frozen=True, eq=False)
class MapSites:
    """Sites in the place of biopsies.

    Attributes:
        cohort: With the sites as its biopsies; without expression.
        region: By participant, `TUMOUR`, or `NEAR` where there is no mask.
        candidates: By participant, how many sites there were before they were thinned out.
    """

    cohort: Cohort
    region: Mapping[str, str]
    candidates: Mapping[str, int]


@dataclass(frozen=True, eq=False)
class _Part:
    """The sites of one participant."""

    sites: tuple[Biopsy, ...]
    region: str
    candidates: int


def map_sites(
    cohort: Cohort, sequences: Sequence[str], spread: Spread, progress: Progress | None = None
) -> MapSites | None:
    """Lay a lattice over the tumour of each participant who was scanned twice.

    Sites are voxel centres, whole voxels apart and as near to the stride as these allow, inside the tumour
    mask; where there is none, within `REACH_MM` of a biopsy and inside the brain mask. They lie inside the
    grids of both scans. Of a participant with several visits it is the first that was scanned twice.

    Args:
        cohort: With `[repeats]`.
        sequences: Those whose patches are wanted: they tell the grid.
        spread: How far apart, and how many.
        progress: Called with participants done and in all.

    Returns:
        None where nobody was scanned twice.

    Raises:
        InputError: Every problem of the headers and masks.
    """
    second = second_scans(cohort)
    if second is None:
        return None
    visits: dict[str, list[Biopsy]] = {}
    for group in second.by_columns_of_paths():
        visits.setdefault(group[0].participant_id, group)
    parts = in_parallel(
        lambda visit: _part((cohort, second), visit, sequences, spread), list(visits.values()), progress
    )
    problems = Problems()
    for part in parts:
        if isinstance(part, InputError):
            problems.extend(part)
    problems.raise_any()
    found = {name: part for name, part in zip(visits, parts, strict=True) if isinstance(part, _Part)}
    return MapSites(
        replace(
            cohort, biopsies=tuple(site for part in found.values() for site in part.sites), expression=None
        ),
        {name: part.region for name, part in found.items()},
        {name: part.candidates for name, part in found.items()},
    )


def _part(
    scans: tuple[Cohort, Cohort], visit: list[Biopsy], sequences: Sequence[str], spread: Spread
) -> _Part | InputError:
    """The sites of one participant, or what is wrong with the files."""
    cohort = scans[0]
    try:
        grids = [_grid(scan, visit, sequences, spread.resample_to) for scan in scans]
        nodes = _nodes(grids[0], spread.stride_mm)
        inside, region = _region(cohort, visit, grids[0], _world(grids[0], nodes))
        nodes = nodes[inside]
        nodes = nodes[_is_on(grids[1], _positions(cohort, grids[0], nodes), cohort)]
    except InputError as error:
        return error
    kept = nodes
    if len(nodes) > spread.most:
        chosen = np.random.default_rng(0).choice(len(nodes), size=spread.most, replace=False)
        kept = nodes[np.sort(chosen)]
    places = zip(kept.tolist(), _positions(cohort, grids[0], kept).tolist(), strict=True)
    return _Part(tuple(_site(visit[0], node, place) for node, place in places), region, len(nodes))


def _site(biopsy: Biopsy, node: list[int], position: list[float]) -> Biopsy:
    x, y, z = position
    name = f"{biopsy.biopsy_id}@{'-'.join(map(str, node))}"
    return replace(biopsy, biopsy_id=name, position=(x, y, z))


def _grid(cohort: Cohort, visit: list[Biopsy], sequences: Sequence[str], resample_to: str | None) -> Grid:
    """The grid that the sites of a visit are meant in."""
    return first_grids(replace(cohort, biopsies=(visit[0],)), sequences, resample_to)[0]


def _nodes(grid: Grid, stride_mm: float) -> IntArray:
    """Stored voxel indices of the lattice's nodes over the whole grid, shape (nodes, 3)."""
    edges = np.linalg.norm(grid.affine[:3, :3], axis=0)
    steps = np.maximum(1, np.rint(stride_mm / edges)).astype(int)
    axes = [np.arange(step // 2, size, step) for step, size in zip(steps, grid.shape, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3).astype(np.int64)


def _world(grid: Grid, nodes: IntArray) -> DoubleArray:
    """Voxel centres in mm, RAS, shape (nodes, 3)."""
    return np.asarray(nodes @ grid.affine[:3, :3].T + grid.affine[:3, 3])


def _positions(cohort: Cohort, grid: Grid, nodes: IntArray) -> DoubleArray:
    """Voxels as the cohort's table would write them, shape (nodes, 3)."""
    if cohort.coordinates.space == "voxel":
        return nodes.astype(np.float64)
    return np.asarray(_world(grid, nodes) * ras_sign(cohort.coordinates))


def _is_on(grid: Grid, positions: DoubleArray, cohort: Cohort) -> BoolArray:
    """Which positions have a voxel of another grid, shape (nodes,)."""
    found = [stored_voxel(grid, place, cohort.coordinates) for place in positions.tolist()]
    voxels = np.array(found, dtype=np.int64).reshape(-1, 3)
    return np.asarray(((voxels >= 0) & (voxels < grid.shape)).all(axis=1))


def _region(cohort: Cohort, visit: list[Biopsy], grid: Grid, world: DoubleArray) -> tuple[BoolArray, str]:
    """Which places a map is asked for, shape (nodes,), and by what."""
    masks = cohort.masks(visit[0])
    if "tumor" in masks:
        return _in_mask(cohort, masks["tumor"], world), TUMOUR
    voxels = np.array([stored_voxel(grid, biopsy.position, cohort.coordinates) for biopsy in visit])
    apart = np.linalg.norm(world[:, None] - _world(grid, voxels)[None], axis=-1)
    inside = np.asarray(apart.min(axis=1) <= REACH_MM)
    if "brain" in masks:
        inside &= _in_mask(cohort, masks["brain"], world)
    return inside, NEAR


def _in_mask(cohort: Cohort, path: Path, world: DoubleArray) -> BoolArray:
    """Which places in mm lie in a voxel where a mask is not zero, whatever its grid; shape (nodes,)."""
    try:
        volume = open_volume(path)
        mask = read_volume(volume) != 0
    except InputError as error:
        raise InputError(f"{cohort.label_of(path)}: {error}") from error
    inverse = np.linalg.inv(volume.grid.canonical_affine)
    voxels = nearest_voxel(world @ inverse[:3, :3].T + inverse[:3, 3])
    inside = np.asarray(((voxels >= 0) & (voxels < mask.shape)).all(axis=1))
    inside[inside] = mask[tuple(voxels[inside].T)]
    return inside
