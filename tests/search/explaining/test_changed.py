"""Copies of patches: covered where they are to be, exchanged whole, untouched elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from data_prep.fold_input import fit_input
from data_prep.patch_set import PatchRequest, PatchSet
from search.explaining.changed import Cover, covered, cropped, exchanged, neutral_values

Make = Callable[..., PatchSet]


@pytest.mark.parametrize("slices", [1, 3])
def test_what_is_covered_is_zero_in_normalised_units_and_nothing_else_changes(
    make_patches: Make, slices: int
) -> None:
    patches = make_patches(slices=slices)
    block = (slice(1, 4), slice(0, 5))
    copies = covered(patches, [Cover(), Cover(2, block), Cover(0)], neutral_values(patches, patches))
    everything, part, whole = (copies.take(range(n * 12, n * 12 + 12)) for n in range(3))
    before, measured = patches.images(4), patches.measured(4)
    assert np.abs(everything.images(4)[measured]).max() == 0
    np.testing.assert_array_equal(everything.images(4)[~measured], before[~measured])
    expected = before.copy()
    expected[:, 1:4, 0:5, 2::4][measured[:, 1:4, 0:5, 2::4]] = 0
    np.testing.assert_array_equal(part.images(4), expected)
    np.testing.assert_array_equal(whole.images(4)[..., 1], before[..., 1])
    assert not whole.images(4)[3, ..., 0::4].any()
    for name in ("padding", "present", "mean", "std", "voxel_mm"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(patches, name))


def test_an_order_that_changes_nothing_leaves_every_array_as_it_is(make_patches: Make) -> None:
    patches = make_patches()
    same = exchanged(patches, 1, np.arange(12)[None])
    assert same.hash == patches.hash


def test_a_sequence_goes_over_whole_and_alone(make_patches: Make) -> None:
    patches = make_patches()
    order = np.roll(np.arange(12), 1)
    copy = exchanged(patches, 1, order[None])
    inside = ~patches.padding & ~patches.padding[order]
    both = inside[..., 0]
    np.testing.assert_array_equal(copy.images(4)[..., 1][both], patches.images(4)[order][..., 1][both])
    np.testing.assert_array_equal(copy.present[:, 1], patches.present[order, 1])
    for column in (0, 2, 3):
        np.testing.assert_array_equal(copy.images(4)[..., column], patches.images(4)[..., column])
        np.testing.assert_array_equal(copy.measured(4)[..., column], patches.measured(4)[..., column])
    assert copy.raw[2, 0, :2, 1].tolist() == [0, 0]  # its own padding
    assert copy.unseen is not None
    assert copy.unseen[3, 0, :2, 1].all()  # that of the one it comes from
    assert not copy.measured(4)[2, ..., 1].any()  # from the one that lacks it


def test_a_smaller_radius_is_what_would_have_been_extracted(make_patches: Make) -> None:
    patches = make_patches(radius=5)
    small = cropped(patches, 2)
    assert small.request == replace(patches.request, radius=2)
    np.testing.assert_array_equal(small.images(2), patches.images(2))
    np.testing.assert_array_equal(small.measured(1), patches.measured(1))
    assert cropped(patches, 5) is patches


def test_maps_of_their_own_unit_are_covered_with_the_mean_of_what_was_learned_from(
    make_patches: Make,
) -> None:
    methods = ("none", "zscore", "zscore", "nyul")
    request = PatchRequest(make_patches().sequences, 4, normalisation=methods)
    marks = np.zeros((12, 4, 11), dtype=np.float32)
    marks[:, 3] = np.linspace(40, 110, 11)
    patches = make_patches(request=request, landmarks=marks, mean=np.zeros((12, 4), np.float32))
    learned = patches.take(range(6))
    neutral = neutral_values(patches, learned)
    assert neutral[0, 0] == pytest.approx(learned.raw[..., 0][learned.measured(4)[..., 0]].mean(), rel=1e-6)
    assert neutral[0, 3] == pytest.approx(75.0)
    view = fit_input(patches, np.arange(6), 4, "zero")
    shown = view.images(covered(patches, [Cover()], neutral))
    for column in (0, 3):
        inside = patches.measured(4)[..., column]
        assert np.abs(shown[..., column][inside]).max() < 1e-5
