import os

import nibabel as nib
import numpy as np
import pytest

from data_prep.cache import load_patches
from data_prep.cohort import read_cohort
from data_prep.features import FEATURE_SETS, extract, features_of, load_features
from data_prep.patches import PatchRequest, extract_patches
from data_prep.problems import InputError
from tests.data_prep.placed import affine_of, noise, write_cohort


@pytest.fixture
def cohort(cohort_folder):
    return read_cohort(cohort_folder)


@pytest.fixture
def patches(cohort, tmp_path):
    return load_patches(cohort, PatchRequest(("T1", "T2"), 4), tmp_path / "cache")


def forbid_computing(monkeypatch):
    for name in ("features_of", "locate"):
        monkeypatch.setattr(extract, name, lambda *_: pytest.fail("computed"))


@pytest.mark.parametrize("name", FEATURE_SETS)
def test_a_second_start_reads_the_same_bytes_and_computes_nothing(
    cohort, patches, tmp_path, name, monkeypatch
):
    first = load_features(name, cohort, patches, 3, tmp_path / "cache")
    forbid_computing(monkeypatch)
    second = load_features(name, cohort, patches, 3, tmp_path / "cache")
    assert second.values.tobytes() == first.values.tobytes()
    assert second.names == first.names
    assert first.values.shape == (8, len(first.names))


@pytest.mark.parametrize("suffix", [".npy", ".json"])
def test_a_damaged_entry_is_computed_anew(cohort, patches, tmp_path, suffix):
    good = load_features("texture", cohort, patches, 2, tmp_path)
    (path,) = (tmp_path / "features").glob(f"*{suffix}")
    path.write_bytes(path.read_bytes()[:-20])
    again = load_features("texture", cohort, patches, 2, tmp_path)
    assert again.values.tobytes() == good.values.tobytes()
    assert len([*(tmp_path / "features").iterdir()]) == 2
    assert load_features("texture", cohort, patches, 2, tmp_path).names == good.names


@pytest.mark.parametrize("name", FEATURE_SETS)
def test_rows_follow_the_biopsies_of_the_patches(cohort, patches, tmp_path, name):
    rows = [6, 1, 4]
    every = load_features(name, cohort, patches, 2, tmp_path)
    some = load_features(name, cohort, patches.take(rows), 2, tmp_path)
    assert np.array_equal(some.values, every.values[rows])


def test_another_radius_or_set_or_content_gives_another_entry(cohort, patches, tmp_path):
    load_features("roi_means", cohort, patches, 2, tmp_path)
    load_features("roi_means", cohort, patches, 3, tmp_path)
    load_features("texture", cohort, patches, 3, tmp_path)
    load_features("roi_means", cohort, patches.take([0, 1]), 3, tmp_path)
    assert len([*(tmp_path / "features").glob("*.npy")]) == 4


def test_a_changed_mask_moves_the_locations(cohort_folder, patches, tmp_path):
    with (cohort_folder / "cohort.toml").open("a") as file:
        file.write('[masks]\nbrain = "{participant_id}/brain.nii.gz"\n')
    mask, path = np.ones((12, 12, 12), np.uint8), cohort_folder / "sub-000" / "brain.nii.gz"
    affine = nib.load(cohort_folder / "sub-000" / "T1.nii.gz").affine
    found = []
    for low in (0, 2):
        mask[:low] = 0
        nib.save(nib.Nifti1Image(mask, affine), path)
        os.utime(path, ns=(low, low))
        found.append(load_features("location", read_cohort(cohort_folder), patches, 2, tmp_path).values)
    assert (found[0][[0, 4], 0] != found[1][[0, 4], 0]).all()
    assert np.array_equal(found[0][:, 1:], found[1][:, 1:])


def test_locations_are_told_on_the_grid_that_patches_are_resampled_to(tmp_path):
    images = {
        "T1": noise((20, 21, 22), affine_of([1, 1, 1], [-10, -10, -10])),
        "FA": noise((12, 13, 14), affine_of([2, 2, 2], [-12, -12, -12])),
    }
    cohort = read_cohort(write_cohort(tmp_path / "cohort", images, [[0.0, 2.0, 4.0]]))
    for name, expected in (("T1", [10 / 19, 12 / 20, 14 / 21]), ("FA", [6 / 11, 7 / 12, 8 / 13])):
        patches = extract_patches(cohort, PatchRequest(("T1", "FA"), 2, resample_to=name))
        found = load_features("location", cohort, patches, 2, tmp_path / "cache").values[0]
        assert found == pytest.approx(expected)


@pytest.mark.parametrize("name", FEATURE_SETS)
def test_patches_without_a_cohort_give_the_same_features(cohort, patches, tmp_path, name):
    known = load_features(name, cohort, patches, 3, tmp_path)
    where = load_features("location", cohort, patches, 3, tmp_path)
    found = features_of(name, patches, 3, where)
    assert (found.names, found.values.tobytes()) == (known.names, known.values.tobytes())


def test_a_location_for_each_patch_is_asked_for(cohort, patches, tmp_path):
    where = load_features("location", cohort, patches, 2, tmp_path)
    with pytest.raises(InputError, match="a location for each of 8 patches is needed, but got none"):
        features_of("location", patches, 2)
    with pytest.raises(InputError, match="a location for each of 2 patches is needed, but got 8"):
        features_of("location", patches.take([0, 1]), 2, where)
    with pytest.raises(InputError, match="unknown name 'textures'; did you mean 'texture'"):
        features_of("textures", patches, 2, where)


def test_an_unknown_set_names_the_legal_ones(cohort, patches, tmp_path):
    with pytest.raises(
        InputError, match="'textures'; did you mean 'texture'\\? Known: location, missingness"
    ):
        load_features("textures", cohort, patches, 2, tmp_path)


def test_patches_of_another_cohort_are_refused(patches, tmp_path, make_cohort):
    other = read_cohort(make_cohort(tmp_path / "other", participants=2, biopsies=3, sequences=("T1", "T2")))
    with pytest.raises(InputError, match=r"biopsies\.tsv: all biopsies of the patches are needed, but 'b03'"):
        load_features("location", other, patches, 2, tmp_path)


def test_a_radius_that_was_not_extracted_leaves_nothing(cohort, patches, tmp_path):
    with pytest.raises(InputError, match="0 to 4 were extracted, but got 5"):
        load_features("roi_means", cohort, patches, 5, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_cache_that_cannot_be_written_is_a_problem(cohort, patches, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="the cache must be writable"):
        load_features("missingness", cohort, patches, 2, tmp_path / "file")
