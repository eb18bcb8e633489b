from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from data_prep.phantom.head import Head, draw_pose, make_head
from data_prep.phantom.tumour import Tumour, draw_shape, make_tumour

SEEDS = range(6)


def grow(seed: int, size: int = 32) -> tuple[Head, Tumour]:
    rng = np.random.default_rng(seed)
    head = make_head(size, draw_pose(rng), np.zeros(3))
    return head, make_tumour(head, draw_shape(head, rng), np.zeros(3))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_tumour_stays_in_one_hemisphere_of_the_brain(seed: int) -> None:
    head, tumour = grow(seed)
    assert (head.brain[tumour.mask] > 0.5).all()
    left = np.nonzero(tumour.mask)[0] < 15
    assert max(left.mean(), 1 - left.mean()) > 0.9


@pytest.mark.parametrize("seed", SEEDS)
def test_core_lies_in_rim_lies_in_oedema(seed: int) -> None:
    _, tumour = grow(seed)
    depth = ndimage.distance_transform_edt(tumour.mask)
    parts = (tumour.core, tumour.rim, tumour.oedema)
    core, rim, oedema = (np.average(depth, weights=part) for part in parts)
    assert core > rim > oedema
    assert min(part.min() for part in parts) >= 0
    assert sum(parts).max() <= 1 + 1e-5


def test_the_default_size_has_a_tumour_of_fourteen_millimetres() -> None:
    volumes = [grow(seed, 64)[1].mask.sum() for seed in SEEDS]
    assert 5000 < np.mean(volumes) < 4 / 3 * np.pi * 14**3
    assert np.std(volumes) > 100


def test_outlines_are_irregular() -> None:
    _, tumour = grow(0, 64)
    surface = (tumour.mask & ~ndimage.binary_erosion(tumour.mask)).sum()
    ball = np.linalg.norm(np.indices((64,) * 3) - 31.5, axis=0) < (tumour.mask.sum() * 0.75 / np.pi) ** (
        1 / 3
    )
    assert surface > 1.1 * (ball & ~ndimage.binary_erosion(ball)).sum()


@pytest.mark.parametrize("size", [24, 64])
@pytest.mark.parametrize("seed", SEEDS)
def test_the_field_is_whole_in_the_tumour_and_cancels_over_the_brain(seed: int, size: int) -> None:
    head, tumour = grow(seed, size)
    assert (tumour.reach[tumour.mask] == 1).all()
    assert tumour.reach[head.brain > 0.5].mean() == pytest.approx(0, abs=1e-4)
    assert -0.6 < tumour.reach.min() < 0
