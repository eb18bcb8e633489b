"""Blocks of a patch: all of it, once, the same on both sides of the biopsy."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from search.explaining.blocks import block_edges, in_millimetres


@given(st.integers(0, 60), st.sampled_from([1, 3, 5, 7]))
def test_blocks_are_symmetric_and_one_is_centred(radius: int, most: int) -> None:
    edges = block_edges(radius, most)
    sizes = np.diff(edges)
    assert (edges[0], edges[-1]) == (0, 2 * radius + 1)
    assert len(sizes) == min(most, 2 * radius + 1)
    assert sizes.min() >= 1
    np.testing.assert_array_equal(sizes, sizes[::-1])
    assert edges[len(sizes) // 2] <= radius < edges[len(sizes) // 2 + 1]
    assert np.ptp(sizes) <= 2


def test_millimetres_count_from_the_biopsy() -> None:
    assert in_millimetres(block_edges(8, 5), 2.0) == [-17.0, -9.0, -3.0, 3.0, 9.0, 17.0]
