import numpy as np
import pytest

from data_prep.features.simple import missingness, roi_means
from data_prep.problems import InputError

IMAGES = np.random.default_rng(0).normal(size=(3, 9, 9, 6)).astype(np.float32)
PRESENT = np.array([[1, 1], [1, 0], [1, 1]])


def test_missingness_says_who_has_what(make_patches):
    table = missingness(make_patches(IMAGES, PRESENT, slices=3))
    assert table.names == ("has:T1", "has:T2")
    assert np.array_equal(table.values, PRESENT)


def test_means_are_of_the_disc_in_all_slices(make_patches):
    table = roi_means(make_patches(IMAGES, PRESENT, slices=3), 2)
    cross = [(0, 0), *((d * i, d * j) for d in (1, -1) for i, j in ((1, 0), (0, 1), (1, 1), (1, -1)))]
    disc = [*cross, (2, 0), (-2, 0), (0, 2), (0, -2)]
    for row, column in ((0, 0), (0, 1), (2, 1)):
        voxels = [IMAGES[row, 4 + i, 4 + j, column + 2 * s] for i, j in disc for s in range(3)]
        assert table.values[row, column] == pytest.approx(np.mean(voxels))
    assert table.names == ("T1:mean", "T2:mean")


def test_an_absent_sequence_has_no_mean(make_patches):
    table = roi_means(make_patches(IMAGES, PRESENT, slices=3), 4)
    assert np.array_equal(np.isnan(table.values), PRESENT == 0)


def test_a_radius_of_nought_is_the_voxel_of_the_site(make_patches):
    table = roi_means(make_patches(IMAGES[..., :2], np.ones((3, 2))), 0)
    assert table.values == pytest.approx(IMAGES[:, 4, 4, :2])


def test_a_radius_beyond_the_patches_is_refused(make_patches):
    with pytest.raises(InputError, match="0 to 4 were extracted, but got 5"):
        roi_means(make_patches(IMAGES, PRESENT, slices=3), 5)
