"""A model asked with arrays is shown what it is shown of a cohort."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.arrays import FloatArray
from data_prep.features import location as locations
from data_prep.features.extract import features_of
from data_prep.features.table import FeatureTable
from data_prep.fold_input import fit_input
from data_prep.intensity import LANDMARKS
from data_prep.patch_set import PatchRequest, PatchSet
from data_prep.problems import InputError
from search.deployment.records import Prediction, Shown
from search.deployment.tensors import (
    AXES,
    answers_of,
    arrays_of,
    example,
    input_tensors,
    output_tensors,
    shown_of,
)
from search.deployment.unlike import fit_reference
from tests.search.deployment.facts_by_hand import make_facts

METHODS = ("zscore", "robust", "nyul", "none")


def make_patches(seed: int, count: int = 12, slices: int = 1, methods: tuple[str, ...] = METHODS) -> PatchSet:
    """Patches as they are cut: padded at the grid's edge, some sequences absent, percentiles for nyul."""
    rng = np.random.default_rng(seed)
    sequences = tuple(f"S{n}" for n in range(len(methods)))
    request = PatchRequest(sequences, 2, slices=slices, normalisation=methods)
    shape = (count, 5, 5, slices, len(sequences))
    raw = rng.normal(500, 100, shape).astype(np.float32)
    padding = np.zeros(shape[:4], dtype=bool)
    padding[0, :2] = True
    present = rng.random((count, len(sequences))) < 0.8
    present[:2] = True
    raw *= present[:, None, None, None, :] & ~padding[..., None]
    scaled = present & [method not in ("nyul", "none") for method in methods]
    marks = np.sort(rng.normal(500, 100, (count, len(sequences), LANDMARKS)), axis=2)
    marked = present & [method == "nyul" for method in methods]
    return PatchSet(
        raw=raw.reshape(*shape[:3], -1),
        padding=padding,
        present=present,
        mean=np.where(scaled, rng.normal(500, 9, present.shape), 0).astype(np.float32),
        std=np.where(scaled, rng.uniform(50, 200, present.shape), 1).astype(np.float32),
        landmarks=np.where(marked[..., None], marks, 0).astype(np.float32),
        voxel_mm=np.ones((count, 2)),
        biopsy_id=tuple(f"b{n}" for n in range(count)),
        participant_id=tuple(f"p{n // 2}" for n in range(count)),
        request=request,
    )


def facts_of(patches: PatchSet) -> Any:
    return make_facts(request=patches.request, needed=())


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.sampled_from([1, 3]), st.sampled_from(["mask", "mean", "zero"]))
def test_members_see_the_same_bits_by_whichever_way_they_are_asked(
    seed: int, slices: int, missing: str
) -> None:
    patches = make_patches(seed, slices=slices)
    again = shown_of(arrays_of(Shown(patches)), facts_of(patches), False).patches
    np.testing.assert_array_equal(again.present, patches.present)
    view = fit_input(patches, np.arange(6), 2, missing)
    expected, got = view.images(patches), view.images(again)
    np.testing.assert_array_equal(got.view(np.uint32), expected.view(np.uint32))
    mine, theirs = (view.normalised(one) for one in (again, patches))
    for name in ("roi_means", "texture"):
        features = [features_of(name, one, 2, None).values for one in (mine, theirs)]
        np.testing.assert_array_equal(*features)


def test_nan_throughout_is_absent_as_0_throughout_is() -> None:
    patches = make_patches(1)
    facts, arrays = facts_of(patches), arrays_of(Shown(patches))
    absent = np.tile(~patches.present, 1)[:, None, None, :]
    arrays["patches"] = np.where(absent, np.float32(np.nan), arrays["patches"])
    again = shown_of(arrays, facts, False).patches
    np.testing.assert_array_equal(again.present, patches.present)
    np.testing.assert_array_equal(again.images(2), patches.images(2))


def test_a_place_is_told_in_the_columns_of_the_location_features() -> None:
    assert AXES == locations._NAMES
    patches = make_patches(1, methods=("zscore",))
    values = np.random.default_rng(0).random((12, 3))
    arrays = arrays_of(Shown(patches, FeatureTable(values, AXES)))
    assert [tensor.name for tensor in input_tensors(patches.request, True)] == list(arrays)
    again = shown_of(arrays, facts_of(patches), True)
    assert again.location is not None
    np.testing.assert_array_equal(again.location.values, values)


def test_only_what_a_model_reads_is_asked_for() -> None:
    plain = PatchRequest(("T1", "T2"), 3, slices=3)
    (patches,) = input_tensors(plain, False)
    assert (patches.name, patches.dtype, patches.shape) == ("patches", "float32", (-1, 7, 7, 6))
    matched = PatchRequest(("T1", "T2"), 3, normalisation=("nyul", "zscore"))
    names = [(one.name, one.dtype, one.shape) for one in input_tensors(matched, True)]
    assert names[1:] == [("landmarks", "float32", (-1, 2, 11)), ("location", "float64", (-1, 3))]


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda a: a.pop("patches"), "patches: the model reads it, but the input has only landmarks"),
        (lambda a: a.update(patch=a["patches"]), "patch: the model reads no such array; did you mean 'patch"),
        (
            lambda a: a.update(patches=a["patches"][..., :3]),
            r"patches: shape \(n, 5, 5, 4\) is needed, but got \(12, 5, 5, 3\). Its channels are S0, S1, S2",
        ),
        (
            lambda a: a.update(landmarks=a["landmarks"][:3]),
            "input: arrays of as many places each are needed, but got {'patches': 12, 'landmarks': 3}",
        ),
        (
            lambda a: a["patches"].__setitem__((1, 2, 2, 1), np.nan),
            "numbers throughout a patch or be NaN throughout, but S1 of place 1 has some of both",
        ),
    ],
)
def test_an_input_that_is_none_is_refused_in_a_line(spoil: Any, says: str) -> None:
    patches = make_patches(0)
    arrays = arrays_of(Shown(patches))
    spoil(arrays)
    with pytest.raises(InputError, match=says):
        shown_of(arrays, facts_of(patches), False)


def test_an_answer_has_the_arrays_that_are_announced() -> None:
    each, one = np.full((4, 2), 0.5), np.zeros(4)
    said = Prediction(each, each, each > 0, one, one > 0, value=each)
    for is_regression in (False, True):
        told = answers_of(said if is_regression else Prediction(each, each, each > 0, one, one > 0))
        announced = output_tensors(2, is_regression)
        assert list(told) == [tensor.name for tensor in announced]
        for tensor in announced:
            assert told[tensor.name].dtype == tensor.dtype
            assert told[tensor.name].shape == tuple(4 if size == -1 else size for size in tensor.shape)


def test_the_example_is_of_nobody_and_usual_in_every_sequence() -> None:
    patches = make_patches(3, count=40)
    reference = fit_reference(patches, np.arange(40), 2, "mask")
    made = example(facts_of(patches), reference, True)
    shown = shown_of(made, facts_of(patches), True)
    images: FloatArray = reference.view.images(shown.patches)
    assert len(images) == 1
    own = reference.view.images(patches)
    for column in range(4):
        values = images[0, :, :, column]
        assert values.std() == 0
        assert not (own[..., column] == values).all(axis=(1, 2)).any()
        usual = own[patches.present[:, column]][..., column]
        assert abs(values[0, 0] - usual.mean()) < 0.1 * usual.std()
