from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.check.subject import block_averaged, block_steps


@given(shape=st.tuples(*(st.integers(1, 100) for _ in range(3))))
@settings(max_examples=40)
def test_no_edge_exceeds_the_limit_and_a_flat_volume_stays_flat(shape: tuple[int, ...]) -> None:
    small = block_averaged(np.full(shape, 2.5, np.float32))
    assert max(small.shape) <= 32
    assert small.shape == tuple(edge // step for edge, step in zip(shape, block_steps(shape), strict=True))
    assert np.all(small == 2.5)
