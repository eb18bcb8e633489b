import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.augmentation import AUGMENTATIONS, apply, draw
from data_prep.problems import InputError

IMAGES = np.random.default_rng(0).normal(size=(40, 13, 13, 3)).astype(np.float32)


def one_by_one(drawn, images: np.ndarray, radius: int) -> np.ndarray:
    """The same with NumPy's own flips and turns, sample by sample."""
    centre = images.shape[1] // 2
    out = []
    for k, image in enumerate(images):
        x, y = drawn.shift[k] + centre
        patch = image[x - radius : x + radius + 1, y - radius : y + radius + 1]
        patch = patch[::-1] if drawn.flip_x[k] else patch
        patch = patch[:, ::-1] if drawn.flip_y[k] else patch
        out.append(np.rot90(patch, drawn.quarter_turns[k]))
    return np.stack(out)


@given(st.sets(st.sampled_from(AUGMENTATIONS)), st.integers(0, 2**32 - 1), st.integers(0, 4))
def test_augmented_patches_equal_those_made_one_by_one(names, seed, radius):
    drawn = draw(sorted(names), 40, np.random.default_rng(seed), margin=2)
    result = apply(drawn, IMAGES, radius)
    assert result.dtype == np.float32
    assert np.array_equal(result, one_by_one(drawn, IMAGES, radius))


def test_no_names_give_the_plain_centre():
    drawn = draw((), 40, np.random.default_rng(0), margin=2)
    assert np.array_equal(apply(drawn, IMAGES, 4), IMAGES[:, 2:11, 2:11])


def test_draws_are_fair_and_stay_within_the_margin():
    drawn = draw(AUGMENTATIONS, 20000, np.random.default_rng(0), margin=3)
    assert drawn.flip_x.mean() == pytest.approx(0.5, abs=0.02)
    assert np.bincount(drawn.quarter_turns) / 20000 == pytest.approx([0.25] * 4, abs=0.02)
    assert np.abs(drawn.shift).max() == 3
    # Normal with sd 1.5, rounded: P(0) = 2 Phi(1/3) - 1.
    assert (drawn.shift == 0).mean() == pytest.approx(0.2611, abs=0.01)


def test_leaving_one_out_leaves_the_others_as_they_were():
    every = draw(AUGMENTATIONS, 50, np.random.default_rng(3), margin=2)
    some = draw(("jitter",), 50, np.random.default_rng(3), margin=2)
    assert np.array_equal(some.shift, every.shift)
    assert not some.flip_x.any()
    assert not some.quarter_turns.any()


def test_an_unknown_augmentation_is_refused():
    with pytest.raises(InputError, match="augmentation: unknown name 'rotation'; did you mean 'rotate'"):
        draw(("rotation",), 3, np.random.default_rng(0), margin=1)


def test_images_without_room_for_the_shifts_are_refused():
    drawn = draw(("jitter",), 40, np.random.default_rng(0), margin=3)
    with pytest.raises(ValueError, match="room for the shifts"):
        apply(drawn, IMAGES, 5)
