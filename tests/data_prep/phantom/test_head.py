from __future__ import annotations

import numpy as np
import pytest

from data_prep.phantom.head import Head, draw_pose, make_head, rotation


@pytest.fixture(scope="module")
def head() -> Head:
    return make_head(32, draw_pose(np.random.default_rng(0)), np.zeros(3))


def total(head: Head) -> np.ndarray:
    return head.scalp + head.skull + head.brain


def test_fractions_of_tissue_never_exceed_a_voxel(head: Head) -> None:
    assert min(part.min() for part in (head.scalp, head.skull, head.csf, head.gm, head.wm)) >= 0
    assert total(head).max() <= 1 + 1e-5


def test_the_head_fills_the_grid_and_leaves_air_at_its_corners(head: Head) -> None:
    inside = total(head) > 0.5
    for axes in ((1, 2), (0, 2), (0, 1)):
        assert np.flatnonzero(inside.any(axis=axes)).size >= 26
    assert not inside[::31, ::31, ::31].any()


def test_the_skull_lies_between_brain_and_scalp() -> None:
    head = make_head(64, draw_pose(np.random.default_rng(0)), np.zeros(3))
    parts = (head.scalp, head.skull, head.brain)
    first = [int((part[:, 32, 36] > 0.4).argmax()) for part in parts]
    assert first[0] < first[1] < first[2]


def test_a_shift_moves_the_head() -> None:
    pose = draw_pose(np.random.default_rng(1))
    still, moved = (make_head(32, pose, np.array(shift, float)) for shift in ([0, 0, 0], [2, 0, -1]))
    np.testing.assert_allclose(moved.wm[2:, :, :-1], still.wm[:-2, :, 1:], atol=1e-4)


def test_rotations_keep_lengths_and_hands() -> None:
    matrix = rotation(np.array([5.0, -3.0, 2.0]))
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(matrix) == pytest.approx(1)
