from __future__ import annotations

from itertools import product

import nibabel
import numpy as np
import pytest

from data_prep.geometry import Grid
from data_prep.phantom.head import rotation
from data_prep.phantom.placing import ORDERS, Stored, draw_affine, draw_order, stored_grid
from data_prep.phantom.spec import MAX_OBLIQUE, PhantomSpec


def test_there_are_48_orders_and_48_participants_have_all() -> None:
    assert len(set(ORDERS)) == 48
    spec = PhantomSpec(participants=48, biopsies=48, orientation="mixed")
    assert {draw_order(spec, index) for index in range(48)} == set(ORDERS)
    assert {draw_order(PhantomSpec(), index) for index in range(48)} == {ORDERS[0]}


@pytest.mark.parametrize("order", ORDERS)
def test_every_order_stores_the_same_voxels_at_the_same_places(order: tuple[tuple[int, int], ...]) -> None:
    volume = np.random.default_rng(0).normal(size=(3, 4, 5))
    affine = draw_affine(PhantomSpec(), 0)
    stored, matrix = Stored(affine, order).stored(volume)
    grid = Grid(stored.shape, matrix)
    np.testing.assert_array_equal(grid.to_canonical(stored), volume)
    np.testing.assert_allclose(grid.canonical_affine, affine, atol=1e-9)


def test_even_the_most_oblique_grid_runs_closest_to_right_anterior_superior() -> None:
    for signs in product((-1, 1), repeat=3):
        for voxel in ((1, 1, 1), (0.5, 0.5, 5)):
            affine = np.eye(4)
            affine[:3, :3] = rotation(MAX_OBLIQUE * np.array(signs)) * np.array(voxel)
            assert nibabel.aff2axcodes(affine) == ("R", "A", "S")
            np.testing.assert_array_equal(Grid((3, 3, 3), affine).canonical_affine, affine)


def test_a_more_oblique_grid_has_the_same_middle() -> None:
    middle = [31.5, 31.5, 31.5, 1]
    for index in range(3):
        one, other = (draw_affine(PhantomSpec(oblique=degrees), index) for degrees in (6.0, 18.0))
        np.testing.assert_allclose(one @ middle, other @ middle, atol=1e-9)
        tilt = [np.arccos((np.trace(matrix[:3, :3]) - 1) / 2) for matrix in (one, other)]
        assert tilt[1] > 2.5 * tilt[0]


def test_a_straight_grid_is_not_turned() -> None:
    np.testing.assert_array_equal(draw_affine(PhantomSpec(oblique=0.0), 0)[:3, :3], np.eye(3))


def test_voxels_have_the_size_that_was_asked_for() -> None:
    spec = PhantomSpec(voxel=(0.5, 0.5, 5.0))
    grid = stored_grid(spec, 0)
    assert nibabel.affines.voxel_sizes(grid.affine) == pytest.approx([0.5, 0.5, 5])
    middle = (np.array([128, 128, 13]) - 1) / 2
    np.testing.assert_allclose(grid.affine @ [*middle, 1], draw_affine(spec, 0) @ [31.5, 31.5, 31.5, 1])
