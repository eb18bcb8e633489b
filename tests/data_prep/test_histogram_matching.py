import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.histogram_matching import (
    PERCENTILES,
    landmarks,
    location_and_spread,
    matched,
    standard_scale,
)

SEEDS = st.integers(0, 2**32 - 1)


def images_of(seed: int, count: int = 4, voxels: int = 1001) -> list[np.ndarray]:
    """Images of one histogram through scanners of their own."""
    rng = np.random.default_rng(seed)
    return [rng.uniform(0.5, 20) * rng.gamma(3.0, 1.0, voxels) + rng.uniform(-50, 50) for _ in range(count)]


def slow_standard(images: list[np.ndarray]) -> list[float]:
    """Nyul and Udupa by the letter: each image's landmarks on 0 to 100, then their means."""
    scales = []
    for image in images:
        marks = [float(np.percentile(image, p)) for p in PERCENTILES]
        scales.append([100 * (mark - marks[0]) / (marks[-1] - marks[0]) for mark in marks])
    return [sum(column) / len(images) for column in zip(*scales, strict=True)]


def slow_match(value: float, marks: list[float], standard: list[float]) -> float:
    """The segment that the value is in, or the outer one that it is beyond, and its straight line."""
    segment = 0
    while segment < len(marks) - 2 and value > marks[segment + 1]:
        segment += 1
    share = (value - marks[segment]) / (marks[segment + 1] - marks[segment])
    return standard[segment] + share * (standard[segment + 1] - standard[segment])


def marks_of(image: np.ndarray) -> np.ndarray:
    return np.array(landmarks(np.array(image)).landmarks)


def fit(images: list[np.ndarray]) -> np.ndarray:
    return standard_scale(np.stack([marks_of(image) for image in images]))


@settings(max_examples=30)
@given(SEEDS)
def test_matching_equals_a_slow_one_written_by_the_letter(seed):
    images = images_of(seed)
    standard, slow = fit(images), slow_standard(images)
    assert standard == pytest.approx(slow, abs=1e-9)
    for image in images:
        seen = np.concatenate([image[:40], [image.min() - 30, image.max() + 30]])
        marks = [float(np.percentile(image, p)) for p in PERCENTILES]
        expected = [slow_match(value, marks, slow) for value in seen]
        assert matched(seen, marks_of(image), standard) == pytest.approx(expected, rel=1e-5, abs=1e-3)


@settings(max_examples=30)
@given(SEEDS, st.floats(1e-2, 1e2), st.floats(-1e3, 1e3))
def test_gain_and_offset_of_a_scanner_go(seed, gain, offset):
    images = images_of(seed)
    standard, other = fit(images), fit([gain * images[0] + offset, *images[1:]])
    assert other == pytest.approx(standard, abs=1e-6)
    same = matched(gain * images[0] + offset, marks_of(gain * images[0] + offset), standard)
    assert same == pytest.approx(matched(images[0], marks_of(images[0]), standard), rel=1e-4, abs=1e-3)


@settings(max_examples=30)
@given(SEEDS)
def test_a_contrast_that_is_linear_between_landmarks_is_undone(seed):
    """With 1,001 voxels each landmark is one of them, so that a monotone map takes landmarks along."""
    rng, (image, *others) = np.random.default_rng(seed), images_of(seed)
    marks, standard = marks_of(image), fit([image, *others])
    moved = np.cumsum(rng.uniform(0.1, 5.0, len(marks)))
    seen = np.interp(image, marks, moved)  # constant beyond the outer landmarks, so look between them
    inner = (image >= marks[0]) & (image <= marks[-1])
    found = matched(seen, marks_of(seen), standard)
    assert found[inner] == pytest.approx(matched(image, marks, standard)[inner], rel=1e-4, abs=1e-2)


@settings(max_examples=30)
@given(SEEDS)
def test_any_monotone_map_is_undone_at_the_landmarks(seed):
    image, *others = images_of(seed)
    standard = fit([image, *others])
    seen = np.sign(image) * np.abs(image) ** 1.7 + 3
    assert matched(marks_of(seen), marks_of(seen), standard) == pytest.approx(standard, rel=1e-5, abs=1e-4)


@settings(max_examples=30)
@given(SEEDS)
def test_matching_keeps_the_order_of_intensities_and_is_done_once(seed):
    image, *others = images_of(seed)
    standard = fit([image, *others])
    found = matched(np.sort(image), marks_of(image), standard)
    assert (np.diff(found) >= 0).all()
    assert matched(found, standard, standard) == pytest.approx(found, rel=1e-5, abs=1e-4)


def test_location_and_spread_are_those_of_an_image_on_the_scale():
    standard = fit(images_of(0))
    rng = np.random.default_rng(1)
    voxels = np.interp(rng.uniform(1, 99, 400_000), PERCENTILES, standard)
    assert location_and_spread(standard) == pytest.approx((voxels.mean(), voxels.std()), rel=0.01)


def test_an_image_on_the_scale_has_mean_zero_and_spread_one():
    images = images_of(3, count=12, voxels=20_001)
    standard = fit(images)
    mean, spread = location_and_spread(standard)
    unit = (matched(images[0], marks_of(images[0]), standard) - mean) / spread
    assert (unit.mean(), unit.std()) == pytest.approx((0.0, 1.0), abs=0.1)


def test_equal_landmarks_go_to_the_middle_of_theirs():
    standard = np.linspace(0, 100, 11)
    marks = np.array([0.0] * 5 + [1, 2, 3, 4, 5, 6])
    assert matched(np.array([0.0, 1.0, 6.0, 7.0]), marks, standard).tolist() == [20, 50, 100, 110]


@pytest.mark.parametrize("value", [0.0, 7.5])
def test_an_image_that_does_not_vary_is_told_by_its_distance_alone(value):
    standard = fit(images_of(0))
    mean, spread = location_and_spread(standard)
    found = matched(value + np.array([0.0, 2.0]), np.full(11, value), standard)
    assert (found - mean) / spread == pytest.approx([0.0, 2.0], abs=1e-4)


def test_images_that_do_not_vary_leave_the_scale_to_the_others():
    images = images_of(0)
    varying = np.stack([marks_of(image) for image in images])
    assert standard_scale(np.vstack([varying, np.full(11, 3.0)])) == pytest.approx(standard_scale(varying))
    alone = standard_scale(np.full((2, 11), 3.0))
    assert np.isfinite(alone).all()
    assert location_and_spread(alone)[1] > 0
    assert np.array_equal(alone, standard_scale(np.zeros((0, 11))))


@pytest.mark.parametrize(("values", "spread"), [([], 0.0), ([2.0, 2.0], 0.0), ([1.0, 2.0], 1.0)])
def test_landmarks_that_are_equal_have_no_spread(values, spread):
    assert landmarks(np.array(values, dtype=np.float32)).spread == spread
