"""Volumes as pictures for the viewer."""

from __future__ import annotations

from base64 import b64decode
from io import BytesIO

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from nilearn.plotting import html_stat_map
from PIL import Image

from search.maps import sprites
from search.maps.sprites import Sampling


@given(st.tuples(*[st.integers(1, 7)] * 3))
def test_a_sprite_is_what_nilearn_makes_for_its_viewer(shape: tuple[int, int, int]) -> None:
    volume = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    np.testing.assert_array_equal(sprites.sprite(volume), html_stat_map._data_to_sprite(volume))


def test_cubic_voxels_are_shown_as_they_are() -> None:
    box = (slice(2, 9), slice(0, 5), slice(3, 4))
    sampling = Sampling.of(box, np.full(3, 1.2))
    volume = np.arange(1000).reshape(10, 10, 10)
    np.testing.assert_array_equal(sampling.taken(volume), volume[box])
    np.testing.assert_allclose(sampling.affine @ [1, 1, 0, 1], [3, 1, 3, 1])
    assert sampling.edge == 1.2


def test_flat_voxels_become_cubes_that_lie_where_the_voxels_do() -> None:
    sampling = Sampling.of((slice(1, 5), slice(0, 4), slice(2, 6)), np.array([1.0, 1.0, 3.0]))
    assert sampling.shape == (4, 4, 12)
    assert sampling.rows[2].tolist() == [2, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 5]
    np.testing.assert_allclose((sampling.affine @ [0, 0, 1, 1])[2], 2)  # the middle cube of the first voxel
    np.testing.assert_allclose((sampling.affine @ [0, 0, 10, 1])[2], 5)


@given(st.tuples(*[st.integers(1, 60)] * 3), st.tuples(*[st.floats(0.3, 4)] * 3), st.integers(50, 2000))
def test_no_more_cubes_than_a_browser_bears_and_each_inside_its_voxel(
    lengths: tuple[int, int, int], edges: tuple[float, float, float], most: int
) -> None:
    box = tuple(slice(3, 3 + length) for length in lengths)
    sampling = Sampling.of(box, np.array(edges), most)
    assert np.prod(sampling.shape) <= 4 * most + 8 * max(sampling.shape) ** 2
    for axis, rows in enumerate(sampling.rows):
        places = sampling.affine[axis, axis] * np.arange(len(rows)) + sampling.affine[axis, 3]
        assert (np.abs(places - rows) <= 0.5 + 1e-9).all()
        assert 3 <= rows.min() <= rows.max() < 3 + lengths[axis]


def test_the_nearest_cube_of_a_place_shows_its_voxel() -> None:
    sampling = Sampling.of((slice(1, 5), slice(0, 4), slice(2, 6)), np.array([1.0, 1.0, 3.0]))
    for place in np.ndindex(4, 4, 4):
        voxel = np.add(place, (1, 0, 2))
        cube = sampling.nearest(voxel)
        assert [rows[n] for rows, n in zip(sampling.rows, cube, strict=True)] == voxel.tolist()
    assert sampling.nearest([-50, 99, 3]) == (0, 3, 4)


def test_levels_tell_values_and_where_there_is_none() -> None:
    values = np.array([0.0, 0.5, 1.0, np.nan, 0.5, 2.0])
    there = np.array([True, True, True, True, False, True])
    found = sprites.levels(values, there, 1.0)
    assert found.tolist() == [1, 51, 101, 0, 0, 101]


def test_a_coloured_picture_has_the_colours_and_is_clear_elsewhere() -> None:
    colours = np.array([[255, 0, 0], [0, 0, 9]], dtype=np.uint8)
    uri = sprites.coloured_uri(np.array([[0, 1, 2]], dtype=np.uint8), colours)
    image = Image.open(BytesIO(b64decode(uri.partition(",")[2]))).convert("RGBA")
    assert [image.getpixel((x, 0)) for x in (1, 2)] == [(255, 0, 0, 255), (0, 0, 9, 255)]
    assert image.getpixel((0, 0))[3] == 0
