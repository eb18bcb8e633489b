from dataclasses import replace

import numpy as np
import pytest

from data_prep.cohort import read_cohort
from data_prep.patch_set import PatchRequest
from data_prep.patches import extract_patches
from data_prep.problems import InputError


@pytest.fixture
def patches(cohort_folder):
    return extract_patches(read_cohort(cohort_folder), PatchRequest(("T1", "T2"), 2))


def test_patches_are_put_beside_others_by_their_biopsy(patches):
    names = (patches.biopsy_id[3], "unheard-of", patches.biopsy_id[0])
    beside = patches.aligned(names, ("a", "b", "c"))
    assert (beside.biopsy_id, beside.participant_id) == (names, ("a", "b", "c"))
    assert np.array_equal(beside.raw[[0, 2]], patches.raw[[3, 0]])
    assert np.array_equal(beside.present, [[True, True], [False, False], [True, True]])
    assert beside.padding[1].all()
    assert not beside.images(2)[1].any()


def test_voxels_have_an_intensity_where_the_sequence_is_there_and_reaches(patches):
    assert patches.unseen is None
    assert np.array_equal(patches.measured(1), np.repeat(~patches.padding[:, 1:4, 1:4], 2, axis=3))
    unseen = np.zeros(patches.raw.shape, dtype=bool)
    unseen[2, :3, :, 1] = True
    present = patches.present.copy()
    present[1, 0] = False
    some = replace(patches, unseen=unseen, present=present)
    expected = np.repeat(~patches.padding, 2, axis=3)
    expected[1, ..., 0] = False
    expected[2, :3, :, 1] = False
    assert np.array_equal(some.measured(2), expected)
    assert np.array_equal(some.measured(1), expected[:, 1:4, 1:4])
    assert len({some.hash, patches.hash, replace(some, unseen=None).hash}) == 3
    beside = some.aligned((patches.biopsy_id[2], "unheard-of"), ("a", "b"))
    assert np.array_equal(beside.unseen, np.stack([unseen[2], np.zeros_like(unseen[2])]))
    assert np.array_equal(some.take([2]).measured(2), expected[[2]])


def test_rows_keep_their_content_and_the_hash_tells_sets_apart(patches):
    assert patches.take([0, 1]).hash == patches.take([0, 1]).hash
    assert len({patches.hash, patches.take([0, 1]).hash, patches.take([1, 0]).hash}) == 3


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"normalisation": "z-score"}, "normalisation: unknown method 'z-score'; did you mean 'zscore'"),
        ({"normalisation": ("zscore",)}, "one method a sequence is needed, but got 1 for 2"),
        ({"slice_mm": 5.0}, "slice_mm: only several slices have a distance, but got slices = 1"),
        ({"slice_mm": 0.01, "slices": 3}, "slice_mm: 0.1 to 50 mm are possible, but got 0.01"),
        ({"slices": 2}, "slices: an odd number is needed"),
        ({"radius": -1}, "patch radius: 0 to 256 voxels"),
        ({"spacing_mm": 99.0}, "spacing_mm: 0.1 to 10 mm"),
    ],
)
def test_a_request_that_cannot_be_met_is_refused(options, problem):
    with pytest.raises(InputError, match=problem):
        PatchRequest(**{"sequences": ("T1", "T2"), "radius": 2, **options})


def test_one_method_stands_for_every_sequence():
    assert PatchRequest(("T1", "T2"), 2, normalisation="none").methods == ("none", "none")
    mixed = ("none", "zscore")
    assert PatchRequest(("T1", "T2"), 2, normalisation=mixed).methods == mixed
