from __future__ import annotations

import numpy as np
import pytest

from data_prep.check.head import find_head
from tests.data_prep.check.heads import SIZE, ball

SHAPE = (SIZE, SIZE, SIZE)


@pytest.mark.parametrize("air", [0.0, -300.0, 1000.0])
@pytest.mark.parametrize("noise", [0.0, 4.0])
def test_a_head_stands_out_from_air_of_any_level(air: float, noise: float) -> None:
    head = ball((15, 17, 16), (10, 12, 11))
    rng = np.random.default_rng(0)
    image = (air + head * rng.uniform(100, 500, SHAPE) + noise * rng.normal(size=SHAPE)).astype(np.float32)
    found = find_head([image], SHAPE)
    assert found is not None
    assert np.mean(found.blocks == head) > 0.999
    assert found.steps.tolist() == [1, 1, 1]


def test_images_of_one_head_are_taken_together() -> None:
    head = ball((16, 16, 16), (11, 11, 11))
    left, right = head.copy(), head.copy()
    left[18:], right[:14] = False, False
    found = find_head([left.astype(np.float32), right.astype(np.float32)], SHAPE)
    assert found is not None
    assert np.array_equal(found.blocks, head)


@pytest.mark.parametrize(
    "image", [np.zeros(SHAPE), np.full(SHAPE, 7.0), np.random.default_rng(0).normal(size=SHAPE)]
)
def test_without_air_there_is_no_head(image: np.ndarray) -> None:
    assert find_head([image.astype(np.float32)], SHAPE) is None


def test_blocks_of_a_large_grid_hold_several_voxels() -> None:
    found = find_head([ball((16, 16, 16), (9, 9, 9)).astype(np.float32)], (256, 64, 33))
    assert found is not None
    assert found.steps.tolist() == [8, 2, 2]
