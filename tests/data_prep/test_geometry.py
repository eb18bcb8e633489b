from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.cohort_file import Coordinates
from data_prep.geometry import (
    Grid,
    between,
    canonical_position,
    canonical_voxel,
    overlap,
    same_grid,
    same_places,
    stored_voxel,
)

RAS = Coordinates(space="world", convention="RAS")
LPS = Coordinates(space="world", convention="LPS")
VOXEL = Coordinates(space="voxel")

ORIENTATIONS = [
    np.array(list(zip(axes, signs, strict=True)))
    for axes in permutations(range(3))
    for signs in product((1, -1), repeat=3)
]


def oblique(shape=(6, 7, 8)) -> Grid:
    turn = nib.eulerangles.euler2mat(0.1, -0.2, 0.15)
    return Grid(shape, nib.affines.from_matvec(turn @ np.diag([1.0, 1.5, 2.0]), [-10, 20, 5]))


def reoriented(grid: Grid, orientation: np.ndarray) -> Grid:
    image = nib.Nifti1Image(np.zeros(grid.shape, np.uint8), grid.affine).as_reoriented(orientation)
    return Grid(image.shape, np.asarray(image.affine, dtype=np.float32).astype(float))


def test_there_are_48_ways_to_store_a_grid():
    assert len({reoriented(oblique(), ornt).affine.tobytes() for ornt in ORIENTATIONS}) == 48


@pytest.mark.parametrize("index", range(48))
def test_every_orientation_gives_the_same_canonical_voxel_and_anatomy(index):
    grid, voxels = oblique(), np.arange(6 * 7 * 8).reshape(6, 7, 8)
    stored = nib.orientations.apply_orientation(voxels, ORIENTATIONS[index])
    turned = reoriented(grid, ORIENTATIONS[index])
    assert np.array_equal(turned.to_canonical(stored), voxels)
    assert turned.canonical_shape == grid.shape
    assert np.allclose(turned.canonical_affine, grid.affine, atol=1e-4)
    assert np.allclose(turned.voxel_size, [1, 1.5, 2], atol=1e-5)
    halfway = nib.affines.apply_affine(grid.affine, [2.5, 3.0, 4.5])
    assert canonical_voxel(turned, stored_voxel(turned, halfway, RAS)).tolist() == [3, 3, 5]


@given(st.tuples(*[st.integers(-3, 9)] * 3), st.tuples(*[st.floats(-0.49, 0.49)] * 3))
def test_a_world_site_falls_into_the_voxel_whose_centre_is_nearest(voxel, shift):
    grid = oblique()
    site = nib.affines.apply_affine(grid.affine, np.add(voxel, shift))
    assert stored_voxel(grid, site, RAS).tolist() == list(voxel)
    assert stored_voxel(grid, site * [-1, -1, 1], LPS).tolist() == list(voxel)


def test_voxel_coordinates_are_indices_into_the_stored_file_halves_up():
    lps = Grid((10, 10, 10), np.diag([-1.0, -1.0, 1.0, 1.0]))
    stored = stored_voxel(lps, (2.5, 3.0, 4.49), VOXEL)
    assert stored.tolist() == [3, 3, 4]
    assert canonical_voxel(lps, stored).tolist() == [6, 6, 4]


def test_small_numbers_left_over_by_single_precision_do_not_move_a_half():
    assert stored_voxel(Grid((4, 4, 4), np.eye(4)), (1.4999999, 1.5, 1.499), RAS).tolist() == [2, 2, 1]


@pytest.mark.parametrize("coordinates", [RAS, VOXEL])
def test_absurd_coordinates_lie_outside_without_overflow(coordinates):
    assert (stored_voxel(oblique(), (1.7e308, -1.7e308, 1.7e308), coordinates) >= 8).any()


def test_one_grid_in_two_storage_orders_is_one_grid_for_world_coordinates_only():
    grid = oblique()
    turned = reoriented(grid, ORIENTATIONS[29])
    assert same_grid(grid, turned, RAS)
    assert not same_grid(grid, turned, VOXEL)
    assert same_grid(grid, grid, VOXEL)


@pytest.mark.parametrize(("shift", "same"), [(0.01, True), (0.5, False)])
def test_grids_that_lie_apart_differ(shift, same):
    moved = np.array(oblique().affine)
    moved[0, 3] += shift
    assert same_grid(oblique(), Grid((6, 7, 8), moved), RAS) is same
    assert not same_grid(oblique(), oblique((6, 7, 9)), RAS)


@pytest.mark.parametrize("index", range(0, 48, 5))
def test_a_site_keeps_its_own_place_however_it_is_told_and_stored(index):
    grid, site = oblique(), np.array([2.371, 3.5, 4.046])
    turned = reoriented(grid, ORIENTATIONS[index])
    world = nib.affines.apply_affine(grid.affine, site)
    assert canonical_position(turned, world, RAS).tolist() == site.tolist()
    assert canonical_position(turned, world * [-1, -1, 1], LPS).tolist() == site.tolist()
    to_stored = np.linalg.inv(nib.orientations.inv_ornt_aff(ORIENTATIONS[index], grid.shape))
    stored = nib.affines.apply_affine(to_stored, site)
    assert canonical_position(turned, stored, VOXEL).tolist() == site.tolist()


@given(st.tuples(*[st.floats(-1, 9)] * 3))
def test_a_site_s_own_place_lies_in_the_voxel_that_it_is_given(voxel):
    grid = oblique()
    site = nib.affines.apply_affine(grid.affine, voxel)
    nearest = canonical_voxel(grid, stored_voxel(grid, site, RAS))
    assert np.abs(canonical_position(grid, site, RAS) - nearest).max() <= 0.501


@pytest.mark.parametrize("index", range(0, 48, 7))
def test_a_volume_taken_to_the_order_of_a_file_and_back_is_itself(index):
    voxels = np.arange(6 * 7 * 8).reshape(6, 7, 8)
    turned = reoriented(oblique(), ORIENTATIONS[index])
    stored = turned.to_stored(voxels)
    assert stored.shape == turned.shape
    assert np.array_equal(turned.to_canonical(stored), voxels)


@given(st.tuples(*[st.floats(-20, 20)] * 3))
def test_voxels_of_one_grid_and_of_another_are_the_same_place_of_the_world(voxel):
    other = Grid((9, 9, 9), nib.affines.from_matvec(np.diag([2.0, 0.7, 3.0]), [1, 2, 3]))
    turn, shift = between(oblique(), other)
    here = nib.affines.apply_affine(oblique().affine, voxel)
    there = nib.affines.apply_affine(other.affine, turn @ voxel + shift)
    assert there == pytest.approx(here, abs=1e-4)


@pytest.mark.parametrize(("apart", "expected"), [(0.0, True), (8.9, True), (9.1, False), (-8.9, True)])
def test_grids_overlap_where_their_voxels_do(apart, expected):
    straight = Grid((9, 9, 9), np.eye(4))
    moved = Grid((9, 9, 9), nib.affines.from_matvec(np.eye(3), [0, apart, 0]))
    assert overlap(straight, moved) is overlap(moved, straight) is expected


@pytest.mark.parametrize(("apart", "expected"), [(7.5, True), (7.8, False), (10.5, False), (11.0, False)])
def test_a_box_and_one_turned_by_45_degrees_overlap_where_both_see_it(apart, expected):
    """Centres (9 + 9 sqrt 2) / 2 = 10.9 apart part them: on the diagonal a shift of 7.7, along x of 10.9."""
    turn = nib.eulerangles.euler2mat(z=np.pi / 4)
    middle, shift = np.full(3, 4.0), np.array([apart, apart, 0.0])
    straight = Grid((9, 9, 9), np.eye(4))
    turned = Grid((9, 9, 9), nib.affines.from_matvec(turn, middle + shift - turn @ middle))
    assert overlap(straight, turned) is overlap(turned, straight) is expected


def test_one_grid_in_two_orders_has_its_voxels_at_the_same_places():
    assert same_places(oblique(), reoriented(oblique(), ORIENTATIONS[29]))
    assert not same_places(oblique(), oblique((6, 7, 9)))


@pytest.mark.parametrize("degrees", [(45, 0, 0), (0, 45, 0), (0, 0, 45), (45, 45, 0), (45, 45, 45)])
def test_a_grid_turned_halfway_between_two_orders_has_one(degrees):
    turn = nib.eulerangles.euler2mat(*np.radians(degrees))
    grid = Grid((6, 7, 8), nib.affines.from_matvec(turn, [-10, 20, 5]))
    found = [reoriented(grid, orientation).canonical_affine for orientation in ORIENTATIONS]
    assert np.ptp(found, axis=0).max() < 1e-4
