import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.resample import cut, neighbourhood, padding, sample_points, steps

RNG = np.random.default_rng(0)
VOLUME = RNG.normal(size=(9, 10, 11)).astype(np.float32)
sites = st.tuples(st.integers(0, 8), st.integers(0, 9), st.integers(0, 10))


def cut_from(volume, points, step):
    """The samples, from nothing but the neighbourhood that they are said to depend on."""
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
    assert padding(points, VOLUME.shape).sum() == outside


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


def test_samples_beyond_the_outermost_voxel_centres_are_padded():
    points = sample_points(np.array([1, 5, 5]), np.full(3, 0.4), 3, 1)
    outside = padding(points, (9, 10, 11))
    assert outside[:, 0, 0].tolist() == [True, False, False, False, False, False, False]
    assert not cut_from(VOLUME, points, np.full(3, 0.4))[0].any()
