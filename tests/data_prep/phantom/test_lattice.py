from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.phantom.lattice import Lattice, lattice_of
from data_prep.phantom.spec import PhantomSpec

edges = st.sampled_from([0.5, 1.0, 2.0, 3.0, 5.0])
voxels = st.tuples(edges, edges, edges)


@given(voxel=voxels, size=st.integers(24, 40))
def test_a_grid_has_its_middle_in_the_middle_and_covers_the_field_of_view(
    voxel: tuple[float, float, float], size: int
) -> None:
    lattice = Lattice(size, voxel)
    for axis, edge in zip(lattice.axes, voxel, strict=True):
        assert axis.mean() == pytest.approx((size - 1) / 2)
        assert abs(len(axis) * edge - size) <= edge / 2
    corner = lattice.to_mm @ [0, 0, 0, 1]
    np.testing.assert_allclose(corner[:3], [axis[0] for axis in lattice.axes])


@given(voxel=voxels, seed=st.integers(0, 100))
def test_a_place_is_within_half_a_voxel_of_its_nearest(voxel: tuple[float, float, float], seed: int) -> None:
    lattice = Lattice(32, voxel)
    places = np.random.default_rng(seed).uniform(4, 27, size=(20, 3))
    assert (abs(lattice.middles(places) - places) <= np.array(voxel) / 2 + 1e-9).all()
    x, y, z = (axis[index] for axis, index in zip(lattice.axes, lattice.nearest(places).T, strict=True))
    np.testing.assert_allclose(np.stack([x, y, z], axis=1), lattice.middles(places))


def test_points_see_a_volume_as_it_is() -> None:
    volume = np.random.default_rng(0).normal(size=(24, 24, 24)).astype(np.float32)
    assert Lattice(24, None).sample(volume) is volume


def test_whole_millimetres_of_displacement_move_voxels() -> None:
    volume = np.random.default_rng(0).normal(size=(24, 24, 24)).astype(np.float32)
    moved = Lattice(24, None).sample(volume, (2, -1, 0))
    np.testing.assert_allclose(moved[2:, :-1], volume[:-2, 1:], atol=1e-6)


@given(voxel=voxels, shift=st.tuples(*[st.floats(-3, 3)] * 3))
def test_boxes_hold_the_mean_of_what_is_linear_between_points(
    voxel: tuple[float, float, float], shift: tuple[float, float, float]
) -> None:
    """A plane inside, by its value at the middle; a constant everywhere."""
    lattice = Lattice(32, voxel)
    x, y, z = np.meshgrid(*[np.arange(32.0)] * 3, indexing="ij")
    plane = (0.3 * x - 0.2 * y + 0.1 * z).astype(np.float32)
    seen = lattice.sample(plane, shift)
    assert seen.shape == lattice.shape
    inside = tuple(slice(np.searchsorted(axis, 6.0), np.searchsorted(axis, 25.0)) for axis in lattice.axes)
    a, b, c = np.meshgrid(
        *(axis - move for axis, move in zip(lattice.axes, shift, strict=True)), indexing="ij"
    )
    np.testing.assert_allclose(seen[inside], (0.3 * a - 0.2 * b + 0.1 * c)[inside], atol=1e-4)
    np.testing.assert_allclose(lattice.sample(np.ones_like(plane), shift), 1, atol=1e-5)


def test_a_box_is_the_mean_of_a_fine_sum() -> None:
    line = np.random.default_rng(1).normal(size=24).astype(np.float32)
    volume = np.broadcast_to(line[:, None, None], (24, 24, 24))
    lattice, fine = Lattice(24, (3.0, 1.0, 1.0)), (np.arange(3000) + 0.5) / 1000 - 1.5
    for index, middle in enumerate(lattice.axes[0]):
        expected = np.interp(middle + fine, np.arange(24), line).mean()
        assert lattice.sample(volume)[index, 12, 12] == pytest.approx(expected, abs=1e-4)


def test_mixed_grids_leave_the_reference_as_it_is() -> None:
    spec = PhantomSpec(size=32, grids="mixed")
    assert lattice_of(spec, "T1Gd") == lattice_of(spec) == Lattice(32, None)
    assert lattice_of(spec, "rCBV").shape == (16, 16, 11)


def test_indices_beyond_the_border_come_from_the_other_side() -> None:
    lattice = Lattice(24, (2.0, 2.0, 3.0))
    x, y, z = lattice.axes
    index = lattice.wrapped((x[-1:] + 2.0, y[:1] - 2.0, z[3:4]))
    assert [part.item() for part in index] == [0, 11, 3]
