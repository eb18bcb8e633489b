"""Which voxels are asked about, and what lies between them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import map_coordinates

from search.maps.lattice import Lattice

SIZE = np.array([1.0, 1.5, 3.0])
REGIONS = arrays(bool, st.tuples(*[st.integers(1, 9)] * 3)).filter(lambda inside: inside.any())


@given(REGIONS)
def test_a_stride_of_1_asks_about_every_voxel(inside: np.ndarray) -> None:
    lattice = Lattice.of(inside, 1, SIZE)
    np.testing.assert_array_equal(lattice.voxels, np.argwhere(inside))
    np.testing.assert_array_equal(lattice.asked, np.arange(inside.sum()))


@given(REGIONS, st.integers(2, 5), st.integers(0, 99))
def test_every_voxel_has_a_value_of_the_range_and_asked_ones_their_own(
    inside: np.ndarray, stride: int, seed: int
) -> None:
    lattice = Lattice.of(inside, stride, SIZE)
    values = np.random.default_rng(seed).normal(size=(len(lattice.asked), 2))
    found = lattice.between(values)
    np.testing.assert_array_equal(found[lattice.asked], values)
    assert (found >= values.min(axis=0) - 1e-9).all()
    assert (found <= values.max(axis=0) + 1e-9).all()


@given(REGIONS, st.integers(2, 5))
def test_what_is_not_interpolated_is_that_of_the_nearest_in_mm(inside: np.ndarray, stride: int) -> None:
    lattice = Lattice.of(inside, stride, SIZE)
    values = np.random.default_rng(0).normal(size=(len(lattice.asked), 1))
    found = lattice.between(values)
    asked = lattice.voxels[lattice.asked] * SIZE
    for row in np.flatnonzero(~lattice.interpolated):
        apart = np.linalg.norm(asked - lattice.voxels[row] * SIZE, axis=1)
        assert found[row, 0] in values[np.isclose(apart, apart.min()), 0]


def test_a_linear_field_is_found_again_in_a_box() -> None:
    inside = np.zeros((14, 12, 10), bool)
    inside[2:13, 1:9, 3:8] = True
    for stride in (2, 3, 4):
        lattice = Lattice.of(inside, stride, SIZE)
        field = lattice.voxels @ np.array([0.3, -0.7, 1.1]) + 2
        assert lattice.interpolated.all()
        assert len(lattice.asked) < inside.sum() / stride
        np.testing.assert_allclose(lattice.between(field[lattice.asked, None])[:, 0], field, atol=1e-12)


def test_between_known_corners_it_is_what_scipy_interpolates_otherwise() -> None:
    """A second implementation on a lattice that the stride divides: splines of order 1."""
    inside = np.ones((9, 13, 5), bool)
    lattice = Lattice.of(inside, 4, SIZE)
    values = np.random.default_rng(3).normal(size=(3, 4, 2))
    expected = map_coordinates(values, lattice.voxels.T / 4, order=1)
    np.testing.assert_allclose(lattice.between(values.reshape(-1, 1))[:, 0], expected, atol=1e-12)


def test_the_last_voxels_of_the_box_are_asked_about() -> None:
    inside = np.zeros((12, 12, 12), bool)
    inside[1:9, 2, 3] = True  # 8 voxels in a row: 1, 4, 7 and the last, 8
    lattice = Lattice.of(inside, 3, SIZE)
    assert lattice.voxels[lattice.asked, 0].tolist() == [1, 4, 7, 8]


def test_nothing_is_interpolated_across_a_gap() -> None:
    inside = np.zeros((9, 1, 1), bool)
    inside[[0, 1, 3, 4], 0, 0] = True
    inside[8, 0, 0] = True  # nodes 0, 4, 8: voxel 3 lies between two known ones, though 2 is not inside
    lattice = Lattice.of(inside, 4, np.ones(3))
    found = lattice.between(np.array([[0.0], [4.0], [8.0]]))
    assert found[:, 0].tolist() == [0, 1, 3, 4, 8]
    without = Lattice.of(
        np.roll(inside, 1, axis=0), 4, np.ones(3)
    )  # the first stays asked: the box moves along
    assert len(without.asked) >= 1


def test_an_island_without_a_corner_is_asked_about_itself() -> None:
    inside = np.zeros((20, 20, 20), bool)
    inside[:5, :5, :5] = True
    inside[17, 18, 18] = inside[18, 18, 17] = True  # their cell is [16, 18]: corner 18, 18, 18 is outside
    lattice = Lattice.of(inside, 4, np.ones(3))
    asked = {tuple(voxel) for voxel in lattice.voxels[lattice.asked].tolist()}
    assert {(17, 18, 18), (18, 18, 17)} <= asked


def test_where_nothing_is_known_nothing_is_said_and_others_take_the_nearest_that_is() -> None:
    inside = np.ones((5, 1, 1), bool)
    lattice = Lattice.of(inside, 2, np.ones(3))
    found = lattice.between(np.array([[1.0], [np.nan], [5.0]]))[:, 0]
    assert found[[0, 1, 3, 4]].tolist() == [1, 1, 5, 5]
    assert np.isnan(found[2])
    assert np.isnan(lattice.between(np.full((3, 1), np.nan))).all()


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 6, 1), (5, 1, 7)])
def test_flat_regions_have_maps_as_well(shape: tuple[int, int, int]) -> None:
    lattice = Lattice.of(np.ones(shape, bool), 3, SIZE)
    values = np.ones((len(lattice.asked), 1))
    assert (lattice.between(values) == 1).all()
