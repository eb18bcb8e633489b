"""Occlusion finds what a model reads, and by how much, where both are known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from search.explaining.effort import Effort
from search.explaining.held_out import HeldOut
from search.explaining.occlusion import occlude
from tests.search.explaining.conftest import READ, WEIGHT

Make = Callable[..., HeldOut]


def test_only_the_block_and_the_sequence_that_are_read_change_anything_and_by_the_closed_form(
    make_part: Make,
) -> None:
    part = make_part()  # 9 x 9 voxels: the middle one of 3 x 3 blocks has just the voxels that are read
    found = occlude([part], Effort(3, True, 2))
    centre = part.patches.images(1)[..., READ].astype(np.float64)
    expected = WEIGHT * centre.mean(axis=(1, 2))
    assert found.cells is not None
    np.testing.assert_allclose(found.cells[:, 0, READ, 1, 1], expected, rtol=1e-5)
    np.testing.assert_allclose(found.blocks[:, 0, 1, 1], expected, rtol=1e-5)
    np.testing.assert_allclose(found.whole[:, 0, READ], expected, rtol=1e-5)
    np.testing.assert_allclose(found.logit[:, 0], expected, rtol=1e-5)
    others = found.cells.copy()
    others[:, 0, READ, 1, 1] = 0
    assert set(np.unique(others[~np.isnan(others)])) == {0.0}
    elsewhere = found.blocks.copy()
    elsewhere[:, 0, 1, 1] = 0
    assert not elsewhere.any()


def test_blocks_of_a_linear_model_add_up(make_part: Make) -> None:
    part = make_part()
    found = occlude([part], Effort(5, True, 2))
    assert found.cells is not None
    np.testing.assert_allclose(found.cells.sum(axis=(3, 4)), found.whole, atol=1e-5)
    np.testing.assert_allclose(np.nansum(found.cells, axis=2), found.blocks, atol=1e-5)


def test_axes_of_the_blocks_are_those_of_the_patch(make_part: Make) -> None:
    def right(shown):
        return 1 / (1 + np.exp(-shown.patches.images(4)[:, -1, 0, 0].astype(np.float64)))[:, None]

    found = occlude([make_part(speaker=right)], Effort(3, True, 2))
    assert found.cells is not None
    assert found.cells[0, 0, 0, 2, 0] != 0
    assert np.count_nonzero(found.cells[0]) == 1


def test_a_sequence_that_a_biopsy_lacks_adds_nothing_known(make_part: Make) -> None:
    found = occlude([make_part()], Effort(3, True, 2))
    lacking = np.isnan(found.whole[:, 0])
    assert np.argwhere(lacking).tolist() == [[1, 1]]
    assert found.cells is not None
    np.testing.assert_array_equal(np.isnan(found.cells[:, 0]).all(axis=(2, 3)), lacking)


@pytest.mark.parametrize("each", [True, False])
def test_folds_follow_each_other_and_progress_counts_every_copy(make_part: Make, each: bool) -> None:
    parts, effort, done = [make_part(0), make_part(1, count=5)], Effort(3, each, 0), []
    found = occlude(parts, effort, done.append)
    assert found.row.tolist() == [*range(12), *range(5, 10)]
    assert found.fold.tolist() == [0] * 12 + [1] * 5
    assert sum(done) == 17 * effort.copies(4, 9)
    assert (found.cells is None) != each
