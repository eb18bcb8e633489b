from __future__ import annotations

from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.check.conventions import DECLARED, READINGS, canonical_voxels
from data_prep.cohort_file import Coordinates
from data_prep.geometry import Grid

SHAPE = (9, 11, 13)
RAS = Coordinates(space="world", convention="RAS")
VOXEL = Coordinates(space="voxel")
ORDERS = [
    np.array(list(zip(o, s, strict=True))) for o in permutations(range(3)) for s in product((1, -1), repeat=3)
]


def stored(orientation: np.ndarray) -> tuple[Grid, nib.Nifti1Image]:
    """One anatomy, voxel (i, j, k) of RAS order holding its own index, stored in any of 48 orders."""
    affine = np.diag([1.0, 2.0, 3.0, 1.0])
    affine[:3, 3] = (-4, -9, -17)
    index = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)
    turned = nib.Nifti1Image(index, affine).as_reoriented(orientation)
    return Grid(turned.shape, turned.affine), turned


def as_written(name: str, site: np.ndarray, grid: Grid, declared: Coordinates) -> np.ndarray:
    """Coordinates that a table has if `name` is how they are meant; `site` is a canonical voxel."""
    world = (grid.canonical_affine @ [*site, 1])[:3]
    voxel = (np.linalg.inv(grid.affine) @ [*world, 1])[:3]
    plain = world if declared.space == "world" else voxel
    mirrored = (grid.canonical_affine @ [grid.canonical_shape[0] - 1 - site[0], *site[1:], 1])[:3]
    if declared.space == "voxel":
        mirrored = (np.linalg.inv(grid.affine) @ [*mirrored, 1])[:3]
    ends = np.array(grid.shape) - 1 if declared.space == "voxel" else np.zeros(3)
    return {
        DECLARED: plain,
        "world RAS": world,
        "world LPS": world * [-1, -1, 1],
        "voxel": voxel,
        "voxel in RAS order": site,
        "x flipped": np.array([ends[0] - plain[0], plain[1], plain[2]]),
        "y flipped": np.array([plain[0], ends[1] - plain[1], plain[2]]),
        "z flipped": np.array([plain[0], plain[1], ends[2] - plain[2]]),
        "order z, y, x": plain[[2, 1, 0]],
        "order y, x, z": plain[[1, 0, 2]],
        "order x, z, y": plain[[0, 2, 1]],
        "order y, z, x": plain[[1, 2, 0]],
        "order z, x, y": plain[[2, 0, 1]],
        "from one": plain + (declared.space == "voxel"),
        "mm from first voxel": voxel * np.linalg.norm(grid.affine[:3, :3], axis=0),
        "image mirrored": mirrored,
    }[name]


@settings(max_examples=60)
@given(
    name=st.sampled_from(sorted(READINGS)),
    order=st.integers(0, len(ORDERS) - 1),
    site=st.tuples(*(st.integers(0, size - 1) for size in SHAPE)),
    declared=st.sampled_from([RAS, VOXEL]),
)
def test_each_reading_finds_the_voxel_that_was_meant(
    name: str, order: int, site: tuple[int, ...], declared: Coordinates
) -> None:
    grid, image = stored(ORDERS[order])
    written = as_written(name, np.array(site), grid, declared)
    (found,) = canonical_voxels(name, grid, written[None], declared)
    assert tuple(found) == site
    canonical = nib.as_closest_canonical(image).get_fdata()
    assert canonical[tuple(found)] == np.ravel_multi_index(site, SHAPE)


@pytest.mark.parametrize("name", READINGS)
def test_sites_may_lie_outside(name: str) -> None:
    grid, _ = stored(ORDERS[0])
    assert canonical_voxels(name, grid, np.array([[1e6, -1e6, 0.0]]), RAS).shape == (1, 3)


def test_no_sites_give_no_voxels() -> None:
    grid, _ = stored(ORDERS[0])
    assert canonical_voxels(DECLARED, grid, np.zeros((0, 3)), RAS).shape == (0, 3)
