import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, map_coordinates

from data_prep.splines import BEYOND, fit_spline, read_lattices, read_spline


@pytest.mark.parametrize("step", [1.0, 0.5, 2.2])
def test_a_spline_fitted_once_is_scipy_s_own_up_to_single_precision(step):
    rng = np.random.default_rng(0)
    voxels = rng.normal(1000, 20, size=(14, 11, 9)).astype(np.float32)
    points = rng.uniform(-0.5, np.array([[13.5], [10.5], [8.5]]), size=(3, 4000))
    found = read_spline(fit_spline(voxels, np.full(3, step)), points)
    smooth = gaussian_filter(
        voxels.astype(float), np.sqrt(max(step**2 - 1, 0)) / 2.3548200450309493, mode="nearest"
    )
    expected = map_coordinates(smooth, points, order=3, mode="nearest")
    assert found.dtype == np.float32
    # 1e-4 of the deviation is what a map may differ by; the mean is 50 deviations here.
    assert np.abs(found - expected).max() < 1e-4 * 20 / 4


def test_at_its_own_voxels_it_is_the_volume():
    voxels = np.random.default_rng(1).normal(size=(6, 7, 8)).astype(np.float32)
    spline = fit_spline(voxels, np.ones(3))
    assert spline.shape == tuple(size + 2 * BEYOND for size in voxels.shape)
    at = np.indices(voxels.shape).reshape(3, -1).astype(float)
    assert read_spline(spline, at) == pytest.approx(voxels.ravel(), abs=1e-6)


def test_lattices_around_voxels_are_their_points_one_by_one():
    rng = np.random.default_rng(2)
    shape = (19, 23, 21)
    spline = fit_spline(rng.normal(100, 20, size=shape).astype(np.float32), np.ones(3))
    axes = (np.arange(-4, 5) * 0.7, np.arange(-3, 4) * 1.3, np.arange(-1, 2) * 2.45)
    centres = np.concatenate([rng.integers(0, shape, size=(60, 3)), [[0, 0, 0]], [np.array(shape) - 1]])
    found = read_lattices(spline, centres, axes)
    assert found.shape == (62, 9, 7, 3)
    points = centres.T[:, :, None, None, None] + np.stack(np.meshgrid(*axes, indexing="ij"))[:, None]
    ends = np.reshape(shape, (3, 1, 1, 1, 1)) - 0.5
    inside = ((points >= -0.5) & (points <= ends)).all(axis=0)
    assert 0.3 < inside.mean() < 1
    assert np.abs(found[inside] - read_spline(spline, points[:, inside])).max() < 1e-5 * 20
