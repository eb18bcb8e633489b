from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from data_prep.check.subject import block_averaged


@given(shape=st.tuples(*(st.integers(1, 70) for _ in range(3))), edge=st.integers(1, 40))
def test_no_edge_exceeds_the_limit_and_a_flat_volume_stays_flat(shape: tuple[int, ...], edge: int) -> None:
    small = block_averaged(np.full(shape, 2.5, np.float32), edge)
    assert max(small.shape) <= edge
    assert np.all(small == 2.5)
