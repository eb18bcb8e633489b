import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from data_prep.features.levels import HIGHEST, LEVELS, LOWEST, frequencies, grey_levels


@given(st.integers(0, LEVELS - 2), st.floats(0.01, 0.49))
def test_half_a_standard_deviation_is_one_level(level, offset):
    value = LOWEST + 0.5 * level + offset
    assert grey_levels(np.array([value, value + 0.5])).tolist() == [level, level + 1]


def test_every_level_has_its_bin_and_the_outer_ones_are_open():
    centres = np.linspace(LOWEST, HIGHEST, LEVELS, endpoint=False) + 0.25
    assert grey_levels(centres).tolist() == list(range(LEVELS))
    assert grey_levels(np.array([-1e30, 1e30], dtype=np.float32)).tolist() == [0, LEVELS - 1]


def test_frequencies_of_each_row_are_its_own():
    codes = np.random.default_rng(0).integers(0, 7, (5, 40))
    assert np.array_equal(frequencies(codes, 7), [np.bincount(row, minlength=7) for row in codes])
