import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.resample import Box, cut, neighbourhood, padding, sample_points, steps, whole_where_close

RNG = np.random.default_rng(0)
VOLUME = RNG.normal(size=(9, 10, 11)).astype(np.float32)
sites = st.tuples(st.integers(0, 8), st.integers(0, 9), st.integers(0, 10))


def mesh(points):
    """All samples of an axis each, shape (3, ...)."""
    return np.stack(np.meshgrid(*points, indexing="ij"))


def cut_from(volume, axes, step):
    """The samples, from nothing but the neighbourhood that they are said to depend on."""
    points = mesh(axes)
    box = neighbourhood(points, step, volume.shape)
    near = volume[tuple(slice(*edge) for edge in zip(box.low, box.high, strict=True))]
    return cut(near, box, padding(points, volume.shape), points, step)


def by_hand(site, radius, slices):
    """The patch voxel by voxel, and how many voxels lie beyond the volume."""
    patch = np.zeros((2 * radius + 1, 2 * radius + 1, slices), np.float32)
    outside = 0
    for i, j, k in np.ndindex(patch.shape):
        at = (site[0] - radius + i, site[1] - radius + j, site[2] - slices // 2 + k)
        if all(0 <= a < n for a, n in zip(at, VOLUME.shape, strict=True)):
            patch[i, j, k] = VOLUME[at]
        else:
            outside += 1
    return patch, outside


@settings(max_examples=50)
@given(sites, st.integers(0, 6), st.sampled_from([1, 3, 5]))
def test_a_patch_on_the_own_grid_is_a_copy_padded_with_zero(site, radius, slices):
    step = np.ones(3)
    points = sample_points(np.array(site), step, radius, slices)
    patch, outside = by_hand(site, radius, slices)
    assert np.array_equal(cut_from(VOLUME, points, step), patch)
    assert padding(mesh(points), VOLUME.shape).sum() == outside


def test_a_spacing_equal_to_the_voxel_size_is_the_own_grid():
    assert steps(None, np.array([1.0, 2.0, 3.0])).tolist() == [1, 1, 1]
    assert steps(1.0, np.array([1.00000004, 0.99999998, 2.0])).tolist() == [1.0, 1.0, 0.5]


def test_a_linear_ramp_is_resampled_exactly():
    x, y, z = np.meshgrid(*(np.arange(60.0),) * 3, indexing="ij")
    ramp = (2 * x - y + 0.5 * z).astype(np.float32)
    step = np.array([0.5, 1.3, 0.7])
    points = sample_points(np.array([30, 30, 30]), step, 4, 3)
    u, v, w = np.meshgrid(*points, indexing="ij")
    assert cut_from(ramp, points, step) == pytest.approx(2 * u - v + 0.5 * w, abs=1e-3)


def test_resampling_of_a_neighbourhood_equals_that_of_the_whole_volume():
    volume = RNG.normal(size=(80, 80, 50)).astype(np.float32)
    step = np.array([2.5, 1.0, 0.6])
    points = sample_points(np.array([40, 38, 25]), step, 3, 3)
    from scipy.ndimage import gaussian_filter, map_coordinates

    sigma = [np.sqrt(2.5**2 - 1) / 2.3548200450309493, 0, 0]
    smooth = gaussian_filter(volume.astype(float), sigma)
    whole = map_coordinates(smooth, np.meshgrid(*points, indexing="ij"), order=3)
    assert cut_from(volume, points, step) == pytest.approx(whole, abs=1e-5)


def test_coarse_resampling_removes_what_the_coarse_grid_cannot_hold():
    checkerboard = (np.indices((60, 60, 60)).sum(axis=0) % 2).astype(np.float32)
    step = np.full(3, 3.0)
    patch = cut_from(checkerboard, sample_points(np.array([30, 30, 30]), step, 4, 1), step)
    assert patch == pytest.approx(np.full((9, 9, 1), 0.5), abs=0.01)


def test_samples_beyond_the_outermost_faces_are_padded():
    """A voxel reaches half an edge beyond its centre; there its surroundings go on."""
    axes = sample_points(np.array([1, 5, 5]), np.full(3, 0.4), 4, 1)
    outside = padding(mesh(axes), (9, 10, 11))
    assert outside[:, 0, 0].tolist() == [True] + [False] * 8
    constant = np.full((9, 10, 11), 7, np.float32)
    patch = cut_from(constant, axes, np.full(3, 0.4))
    assert patch[1:] == pytest.approx(np.full((8, 9, 1), 7.0), abs=1e-5)
    assert not patch[0].any()


def test_steps_that_are_whole_but_for_single_precision_are_whole():
    found = whole_where_close(np.array([1.00003, 2.99996, 0.00001, 0.3333333333, 1.01]))
    assert found.tolist() == [1.0, 3.0, 1e-05, 0.333333, 1.01]


@pytest.mark.parametrize("step", [1.0, 2.0])
def test_points_that_are_voxels_are_copied_whatever_their_distance_if_they_stand_for_one(step):
    axes = sample_points(np.array([4, 5, 5]), np.array([1.0, 1.0, step]), 2, 3)
    whole = VOLUME[np.ix_(*(axis.astype(int) for axis in axes))]
    assert np.array_equal(cut_from(VOLUME, axes, np.ones(3)), whole)
    assert not np.array_equal(cut_from(VOLUME, axes, np.array([1.0, 1.0, 2.0])), whole)


@given(st.tuples(*[st.floats(-60, 60)] * 3), st.floats(0.2, 3))
def test_a_neighbourhood_lies_in_the_volume_and_is_never_empty(centre, step):
    points = mesh(sample_points(np.array(centre), np.full(3, step), 2, 3))
    box = neighbourhood(points, np.full(3, step), VOLUME.shape)
    assert all(0 <= a < b <= n for a, b, n in zip(box.low, box.high, VOLUME.shape, strict=True))
    near = VOLUME[tuple(map(slice, box.low, box.high))]
    patch = cut(near, box, padding(points, VOLUME.shape), points, np.full(3, step))
    assert np.isfinite(patch).all()
    assert not patch[padding(points, VOLUME.shape)].any()


def test_how_a_neighbourhood_lies_in_memory_changes_no_bit():
    axes = sample_points(np.array([4.3, 5.1, 5.7]), np.full(3, 1.3), 2, 3)
    points, step, box = mesh(axes), np.full(3, 1.3), Box((0, 0, 0), VOLUME.shape)
    outside = padding(points, VOLUME.shape)
    backwards = np.asfortranarray(VOLUME[::-1, :, ::-1])[::-1, :, ::-1]
    one, other = (cut(volume, box, outside, points, step) for volume in (VOLUME, backwards))
    assert np.array_equal(one, other)
