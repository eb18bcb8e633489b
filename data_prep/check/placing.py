"""Where the sites of a visit fall: into the image, the masks, the head, by each way to read coordinates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from data_prep.arrays import BoolArray, DoubleArray, IntArray
from data_prep.check.conventions import DECLARED, READINGS, canonical_voxels
from data_prep.check.grids import usual_file
from data_prep.check.head import find_head
from data_prep.check.intensities import is_mask
from data_prep.check.subject import File, Placement, Region, Visited
from data_prep.cohort_file import Coordinates
from data_prep.geometry import Grid, between, nearest_voxel, same_places
from data_prep.problems import InputError
from data_prep.volumes import Volume, slabs

_FIRST_BOX: Final = 16.0  # mm around a site in which the nearest voxel is looked for first

# A mask that serves as a sequence has the role that its name tells.
_NAMES: Final = {"brain": ("brain",), "tumor": ("tumor", "tumour", "lesion", "seg")}


def place(visited: Visited, declared: Coordinates) -> Placement | None:
    """Look where the sites of a visit fall; None where no image tells a grid.

    Args:
        visited: Its files, read.
        declared: What cohort.toml says of coordinates.
    """
    usual = usual_file([*visited.images.values()], declared)
    if usual is None or usual.volume is None:
        return None
    grid = usual.volume.grid
    sites = np.array([biopsy.position for biopsy in visited.biopsies], dtype=np.float64)
    voxels = {name: canonical_voxels(name, grid, sites, declared) for name in READINGS}
    inside = {name: _inside(at, grid.canonical_shape) for name, at in voxels.items()}
    masks = {role: _read(file.volume) for role, file in roles(visited).items() if file.volume is not None}
    regions = {role: _in_mask(*mask, grid, voxels) for role, mask in masks.items()}
    head = _head(visited, grid)
    if head is not None and "brain" not in masks:
        regions["head"] = _in_mask(*head, grid, voxels)
    return Placement(grid, voxels[DECLARED], inside, regions, _spill(masks))


def roles(visited: Visited) -> dict[str, File]:
    """The masks that can be read, by role; where none is declared, a sequence that is one by its name."""
    found: dict[str, File] = {}
    for role, words in _NAMES.items():
        named = [
            file
            for name, file in visited.images.items()
            if file.digest is not None
            and is_mask(file.digest)
            and any(word in name.lower() for word in words)
        ]
        for file in [visited.masks[role]] if role in visited.masks else named:
            if file.digest is not None and file.digest.high != file.digest.low and not file.digest.unusable:
                found.setdefault(role, file)
    return found


def _inside(voxels: IntArray, shape: tuple[int, ...]) -> BoolArray:
    return np.asarray(((voxels >= 0) & (voxels < np.array(shape))).all(axis=1))


def _read(volume: Volume) -> tuple[BoolArray, Grid]:
    """Where a mask is not zero, canonical, and its grid."""
    stored = np.empty(volume.grid.shape, dtype=np.bool_, order="F")
    try:
        for start, slab in slabs(volume):
            stored[:, :, start : start + slab.shape[2]] = volume.scaled(slab) != 0
    except InputError as error:  # was read to its end a moment ago
        raise InputError(f"{volume.path}: {error} Did it change while it was read?") from error
    return np.asarray(volume.grid.to_canonical(stored)), volume.grid


def _head(visited: Visited, grid: Grid) -> tuple[BoolArray, Grid] | None:
    """The head in blocks of voxels, and the grid of the blocks."""
    smalls = [
        file.digest.small
        for file in visited.images.values()
        if file.digest is not None
        and file.volume is not None
        and not is_mask(file.digest)
        and same_places(grid, file.volume.grid)
    ]
    head = find_head(smalls, grid.canonical_shape)
    if head is None:
        return None
    affine = grid.canonical_affine.copy()
    affine[:3, 3] += affine[:3, :3] @ ((head.steps - 1) / 2)
    affine[:3, :3] = affine[:3, :3] * head.steps
    shape = head.blocks.shape
    return head.blocks, Grid((shape[0], shape[1], shape[2]), affine)


def _in_mask(mask: BoolArray, grid: Grid, image: Grid, voxels: Mapping[str, IntArray]) -> Region:
    """Which sites fall into a mask that may lie on another grid than the image."""
    turn, shift = between(image, grid)
    moved = {name: nearest_voxel(at @ turn.T + shift) for name, at in voxels.items()}
    inside = {name: _at(mask, at) for name, at in moved.items()}
    gap = np.array([_gap(mask, grid.voxel_size, site) for site in moved[DECLARED]])
    return Region(inside, gap)


def _at(mask: BoolArray, voxels: IntArray) -> BoolArray:
    found = np.zeros(len(voxels), dtype=np.bool_)
    inside = _inside(voxels, mask.shape)
    found[inside] = mask[tuple(voxels[inside].T)]
    return found


def _gap(mask: BoolArray, edges: DoubleArray, site: IntArray) -> float:
    """Distance in mm from a voxel to the nearest one of a mask, 0 inside, infinite where there is none.

    Looked for in boxes of growing size: the nearest of a box is the nearest of all where it lies no farther
    than the box reaches.
    """
    shape = np.array(mask.shape)
    reach = _FIRST_BOX
    while True:
        low = np.clip(np.floor(site - reach / edges), 0, shape).astype(int)
        high = np.clip(np.ceil(site + reach / edges) + 1, 0, shape).astype(int)
        found = np.argwhere(mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))])
        nearest = float(np.linalg.norm((found + low - site) * edges, axis=1).min()) if len(found) else np.inf
        if nearest <= reach or (not low.any() and (high == shape).all()):
            return nearest
        reach *= 2


def _spill(masks: Mapping[str, tuple[BoolArray, Grid]]) -> float | None:
    """Share of the tumour mask outside the brain mask, where both lie on one grid."""
    if set(masks) != set(_NAMES):
        return None
    (brain, one), (tumor, other) = masks["brain"], masks["tumor"]
    if not same_places(one, other):
        return None
    return int(np.count_nonzero(tumor & ~brain)) / int(np.count_nonzero(tumor))
