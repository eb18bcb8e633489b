import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.window_stack import Stack, Window

SHAPE = (7, 5, 6)


def volume(seed: int = 0, shape=SHAPE) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@given(st.integers(0, 3), st.sampled_from([(1, 1), (3, 1), (3, 2), (5, 3)]))
def test_windows_are_those_of_a_loop_over_padded_volumes(radius, across):
    slices, apart = across
    window = Window(radius, slices, apart)
    stack, volumes = Stack(SHAPE, 2, window), [volume(0), volume(1)]
    for place, one in enumerate(volumes):
        stack.put(place, one, np.zeros(3, dtype=np.int64))
    voxels = np.argwhere(np.ones(SHAPE))
    found = stack.cut(voxels)
    assert found.shape == (len(voxels), 2 * radius + 1, 2 * radius + 1, slices, 2)
    padded = [np.pad(one, [(r, r) for r in window.reach]) for one in volumes]
    edge = 2 * radius + 1
    for row, (x, y, z) in enumerate(voxels):
        for place, one in enumerate(padded):
            depth = slice(z, z + (slices - 1) * apart + 1, apart)
            assert np.array_equal(found[row, ..., place], one[x : x + edge, y : y + edge, depth])


@pytest.mark.parametrize("shift", [(0, 0, 0), (-2, 1, 3), (2, -4, 0), (9, 0, 0), (0, 0, -20)])
def test_a_volume_of_another_extent_lies_where_its_shift_says(shift):
    other, stack = volume(2, (6, 8, 4)), Stack(SHAPE, 1, Window(2, 3, 1))
    stack.put(0, other, np.array(shift))
    expected = np.zeros(SHAPE, dtype=np.float32)
    for place in np.ndindex(*SHAPE):
        theirs = np.add(place, shift)
        if ((theirs >= 0) & (theirs < other.shape)).all():
            expected[place] = other[tuple(theirs)]
    assert np.array_equal(stack.volume(0), expected)


def test_a_volume_that_is_looked_at_is_no_copy():
    stack = Stack(SHAPE, 2, Window(1))
    stack.put(1, volume(3), np.zeros(3, dtype=np.int64))
    assert np.shares_memory(stack.volume(1), stack.volume(1))
    assert np.array_equal(stack.volume(1), volume(3))
    assert not stack.volume(0).any()
