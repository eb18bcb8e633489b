from __future__ import annotations

from base64 import b64decode
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from search.gallery.drawing import (
    PLANES,
    RADIUS,
    grey,
    grey_window,
    mark,
    outline_data,
    patch_data,
    plane,
    size_of,
    slice_data,
)


def pixels(uri: str) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(b64decode(uri.partition(",")[2]))))


def volume(shape: tuple[int, int, int] = (20, 24, 28)) -> np.ndarray:
    return np.random.default_rng(0).gamma(4, 50, size=shape).astype(np.float32)


@settings(max_examples=30)
@given(
    site=st.tuples(st.integers(0, 19), st.integers(0, 23), st.integers(0, 27)),
    axis=st.sampled_from(sorted(PLANES.values())),
)
def test_a_mark_lies_on_its_voxel(site: tuple[int, int, int], axis: int) -> None:
    """The brightest voxel is found again where the mark is, whatever the plane."""
    voxels = np.zeros((20, 24, 28), dtype=np.float32)
    voxels[site] = 1
    size = size_of(voxels.shape, np.array([1.0, 1.0, 2.0]), axis, 280)
    shown = np.asarray(
        Image.fromarray(grey(plane(voxels, site, axis), (0, 1))).resize(size, Image.Resampling.NEAREST)
    )
    place = mark(site, site, voxels.shape, axis, size)
    assert shown[int(place.y), int(place.x)] == 255
    assert place.near


def test_left_is_left_and_up_is_front_or_top() -> None:
    voxels = np.zeros((10, 10, 10), dtype=np.float32)
    voxels[:, 9, :] = 1  # front
    assert plane(voxels, (5, 5, 5), PLANES["axial"])[0].all()
    voxels = np.zeros((10, 10, 10), dtype=np.float32)
    voxels[0, :, 9] = 1  # left, top
    shown = plane(voxels, (5, 5, 5), PLANES["coronal"])
    assert shown[0, 0] == 1
    assert shown.sum() == 1


@pytest.mark.parametrize(("axis", "size"), [(2, (200, 100)), (1, (200, 50)), (0, (200, 100))])
def test_a_slice_is_true_to_millimetres(axis: int, size: tuple[int, int]) -> None:
    assert size_of((40, 10, 5), np.array([0.5, 1.0, 1.0]), axis, 200) == size


@given(
    site=st.tuples(st.integers(0, 19), st.integers(0, 23), st.integers(0, 27)),
)
@settings(max_examples=20)
def test_a_patch_has_the_voxels_around_the_site_and_black_beyond(site: tuple[int, int, int]) -> None:
    voxels = volume()
    window = grey_window(voxels)
    shown = pixels(patch_data(voxels, site, window))
    padded = np.pad(voxels, RADIUS, constant_values=window[0])
    x, y, z = site
    expected = padded[x : x + 2 * RADIUS + 1, y : y + 2 * RADIUS + 1, z + RADIUS]
    assert np.array_equal(shown, grey(expected.T[::-1], window))


def test_a_site_of_another_slice_is_marked_so() -> None:
    near = mark((5, 5, 6), (5, 5, 5), (10, 10, 10), 2, (100, 100), "1")
    far = mark((5, 5, 7), (5, 5, 5), (10, 10, 10), 2, (100, 100), "2", boxed=True)
    assert (near.near, far.near) == (True, False)
    assert near.box is None
    assert far.box == (85.0, 85.0)


@pytest.mark.parametrize(
    ("voxels", "window"),
    [(np.zeros((4, 4, 4)), (0.0, 1.0)), (np.ones((4, 4, 4)), (0.0, 1.0)), (-np.ones((4, 4, 4)), (-1.0, 0.0))],
)
def test_a_volume_without_contrast_has_a_window(voxels: np.ndarray, window: tuple[float, float]) -> None:
    assert grey_window(voxels.astype(np.float32)) == window


def test_the_air_around_a_head_does_not_set_the_window() -> None:
    voxels = volume()
    padded = np.pad(voxels, 20)
    assert grey_window(padded) == pytest.approx(grey_window(voxels), rel=0.05)


def test_a_slice_of_a_real_size_takes_a_few_kilobytes() -> None:
    levels = np.add.outer(np.arange(240.0), np.arange(240.0))
    uri = slice_data(levels, (0, 480), (144, 144))
    shown = pixels(uri)
    assert shown.shape == (144, 144)
    assert len(uri) < 8000
    assert abs(int(shown[72, 72]) - 127) < 4


def test_an_outline_is_the_rim_alone() -> None:
    mask = np.zeros((20, 20), dtype=bool)
    mask[5:15, 5:15] = True
    uri = outline_data(mask, "tumor", (20, 20))
    assert uri is not None
    image = np.asarray(Image.open(BytesIO(b64decode(uri.partition(",")[2]))).convert("RGBA"))
    drawn = image[..., 3] > 0
    assert drawn.sum() == 36
    assert not drawn[10, 10]
    assert outline_data(np.zeros((20, 20), dtype=bool), "brain", (20, 20)) is None
