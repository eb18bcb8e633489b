"""The finest way within the time, said in words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.explaining.effort import WAYS, choose


@given(st.floats(1e-7, 10.0), st.integers(1, 300), st.integers(1, 27), st.integers(0, 30))
def test_the_finest_way_that_fits_is_taken(
    seconds: float, biopsies: int, sequences: int, radius: int
) -> None:
    edge = 2 * radius + 1
    chosen = choose(biopsies, sequences, edge, seconds, limit=60.0)
    place = WAYS.index(chosen.effort)
    assert chosen.seconds == pytest.approx(biopsies * seconds * WAYS[place].copies(sequences, edge))
    assert chosen.seconds <= 60.0 or place == len(WAYS) - 1
    assert all(biopsies * seconds * way.copies(sequences, edge) > 60.0 for way in WAYS[:place])


def test_copies_are_counted() -> None:
    assert WAYS[0].copies(9, 17) == 25 * 9 + 25 + 9 + 99 * 9
    assert WAYS[0].copies(9, 3) == 9 * 9 + 9 + 9 + 99 * 9  # a patch of 3 x 3 voxels has no 25 blocks
    assert WAYS[-1].copies(9, 17) == 9 + 9 + 19 * 9


def test_what_is_left_out_for_time_is_said() -> None:
    fine, coarse = choose(10, 4, 9, 1e-6), choose(10, 4, 9, 1.0)
    assert "longer" not in fine.words
    assert "in each sequence" in fine.words
    assert "anything finer would take longer than 120 s" in coarse.words
    assert "in all sequences at once" in coarse.words
    assert "19 exchanges" in coarse.words
