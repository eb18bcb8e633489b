"""Windows against `extract_patches`: the same numbers for the same places, bit for bit on own voxels."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.cohort import read_cohort
from data_prep.features.location import location
from data_prep.geometry import Grid
from data_prep.intensity import METHODS
from data_prep.patch_set import PatchRequest, PatchSet
from data_prep.patches import extract_patches
from data_prep.problems import InputError
from data_prep.windows import Windows, open_windows
from tests.data_prep.placed import ORIENTATIONS, affine_of, noise, write_cohort

SHAPE = (18, 15, 11)
GRIDS = {
    "straight": affine_of([1, 1, 1], [-9, -8, -5]),
    "anisotropic": affine_of([0.8, 1.2, 2.5], [-7.3, -9.2, -14.1]),
    "oblique": affine_of([0.9, 1.1, 2.0], [-8.3, -7.2, -11.1], [9, -14, 6]),
}
ELSEWHERE = affine_of([1.6, 1.7, 2.4], [-8.2, -7.7, -6.1], [4, 7, -3])
# Of the standard deviation of an image; what single precision makes of a spline is below a tenth of it.
CLOSE = 1e-5


def centres(affine: np.ndarray, voxels: np.ndarray) -> np.ndarray:
    return nib.affines.apply_affine(Grid(SHAPE, affine).canonical_affine, voxels)


def voxels_of(seed: int, count: int) -> np.ndarray:
    """Some anywhere in the grid, and two of its corners."""
    inside = np.random.default_rng(seed).integers(0, SHAPE, size=(count, 3))
    return np.concatenate([inside, [[0, 0, 0]], [np.array(SHAPE) - 1]])


def turned(image: nib.Nifti1Image, rng: np.random.Generator) -> nib.Nifti1Image:
    return image.as_reoriented(ORIENTATIONS[rng.integers(len(ORIENTATIONS))])


def opened(folder: Path, request: PatchRequest) -> Windows:
    (windows,) = open_windows(read_cohort(folder), "sub", request)
    return windows


def differences(mine: PatchSet, theirs: PatchSet) -> set[str]:
    """Names of the arrays that are not the same bytes."""
    one, two = mine.arrays(), theirs.arrays()
    both = one.keys() & two.keys()
    odd = {name for name in both if one[name].tobytes() != two[name].tobytes()}
    odd |= {name for name in both if (one[name].dtype, one[name].shape) != (two[name].dtype, two[name].shape)}
    return odd | (one.keys() ^ two.keys())


def give_away(folder: Path, sequence: str) -> None:
    """Make a sequence that of another participant alone."""
    (folder / "other").mkdir()
    (folder / "sub" / f"{sequence}.nii").rename(folder / "other" / f"{sequence}.nii")
    with (folder / "biopsies.tsv").open("a") as file:
        file.write("theirs\tother\t0.0\t0.0\t0.0\n")


@settings(max_examples=25)
@given(
    st.integers(0, 10**6),
    st.sampled_from([*GRIDS]),
    st.integers(0, 4),
    st.sampled_from([(1, None), (3, None), (3, 2), (5, None)]),
    st.sampled_from([*METHODS]),
    st.booleans(),
    st.sampled_from([None, "FLAIR"]),
)
def test_on_the_own_grid_every_array_is_that_of_the_extraction(
    tmp_path_factory, seed, grid, radius, slices, method, masked, absent
):
    rng, affine = np.random.default_rng(seed), GRIDS[grid]
    folder, at = tmp_path_factory.mktemp("cohort"), voxels_of(seed, 6)
    names = ("T1", "T2", "FLAIR")
    images = {name: turned(noise(SHAPE, affine, seed + k), rng) for k, name in enumerate(names)}
    if masked:
        inside = (rng.random(SHAPE) < 0.6).astype(np.uint8)
        images["brain"] = turned(nib.Nifti1Image(inside, affine), rng)
    write_cohort(folder, images, centres(affine, at))
    if absent:
        give_away(folder, absent)
    count, apart = slices
    slice_mm = None if apart is None else apart * float(np.linalg.norm(affine[:3, 2]))
    request = PatchRequest(
        ("T2", "T1", "FLAIR"), radius, count, slice_mm=slice_mm, normalisation=(method, "zscore", "none")
    )
    expected = extract_patches(read_cohort(folder), request).take(range(len(at)))
    windows = opened(folder, request)
    assert np.array_equal(windows.sites, at)
    found = windows.patches(at)
    assert not differences(found, expected)
    assert found.images(radius).tobytes() == expected.images(radius).tobytes()
    assert found.biopsy_id[0] == "sub@" + "-".join(map(str, at[0]))
    assert windows.present == tuple(name for name in request.sequences if name != absent)
    where = location(read_cohort(folder), request.sequences)
    assert windows.location(at).values.tobytes() == where.values[: len(at)].tobytes()
    assert windows.location(at).names == where.names


RESAMPLED = [
    {"spacing_mm": 0.7},
    {"spacing_mm": 0.5, "slice_mm": 2.1},
    {"spacing_mm": 2.3},
    {"slice_mm": 1.7},
    {"resample_to": "T1"},
    {"resample_to": "T1", "spacing_mm": 1.1},
    {"resample_to": "FA"},
    {"resample_to": "FA", "slice_mm": 3.1},
]


@settings(max_examples=24)
@given(st.integers(0, 10**6), st.sampled_from([*GRIDS]), st.sampled_from(RESAMPLED), st.integers(0, 3))
def test_between_voxels_only_single_precision_tells(tmp_path_factory, seed, grid, options, radius):
    """FA lies on another grid where the request allows it; the mask then does too."""
    rng, affine = np.random.default_rng(seed), GRIDS[grid]
    mixed, folder = "resample_to" in options, tmp_path_factory.mktemp("cohort")
    other = ELSEWHERE if mixed else affine
    images = {"T1": turned(noise(SHAPE, affine, 1), rng), "FA": turned(noise(SHAPE, other, 2), rng)}
    inside = (rng.random(SHAPE) < 0.7).astype(np.uint8)
    images["brain"] = turned(nib.Nifti1Image(inside, other), rng)
    reference = other if options.get("resample_to") == "FA" else affine
    at = voxels_of(seed, 6)
    write_cohort(folder, images, centres(reference, at))
    request = PatchRequest(("T1", "FA"), radius, 3, **options)
    expected, found = extract_patches(read_cohort(folder), request), opened(folder, request).patches(at)
    assert differences(found, expected) <= {"raw"}
    assert np.abs(found.raw - expected.raw).max() <= CLOSE * 20  # the noise's standard deviation


def test_a_spacing_that_is_the_image_s_own_copies(tmp_path):
    affine, at = GRIDS["straight"], voxels_of(0, 5)
    folder = write_cohort(tmp_path, {"T1": noise(SHAPE, affine)}, centres(affine, at))
    request = PatchRequest(("T1",), 3, 3, spacing_mm=1.0)
    assert not differences(opened(folder, request).patches(at), extract_patches(read_cohort(folder), request))


def test_a_cropped_sequence_is_copied_and_ends_where_it_ends(tmp_path):
    """T2 has the voxels of T1, but fewer of them; some sites lie beyond it, some patches reach beyond."""
    affine, at = GRIDS["oblique"], np.argwhere(np.ones(SHAPE))[::37]
    whole = noise(SHAPE, affine, 1)
    images = {"T1": noise(SHAPE, affine), "T2": whole.slicer[4:12, 3:, :7]}
    folder = write_cohort(tmp_path, images, centres(affine, at))
    request = PatchRequest(("T1", "T2"), 2, 3, resample_to="T1")
    expected = extract_patches(read_cohort(folder), request)
    assert expected.unseen is not None
    assert 0 < expected.present[:, 1].sum() < len(at)
    assert not differences(opened(folder, request).patches(at), expected)


def test_a_sequence_that_is_larger_than_the_reference_is_copied(tmp_path):
    affine, at = GRIDS["anisotropic"], voxels_of(3, 8)
    small = noise(SHAPE, affine)
    wide = affine.copy()
    wide[:3, 3] -= affine[:3, :3] @ [3, 2, 1]
    images = {"T1": small, "T2": noise((24, 20, 13), wide, 1)}
    folder = write_cohort(tmp_path, images, centres(affine, at))
    request = PatchRequest(("T1", "T2"), 3, 3, resample_to="T1")
    assert not differences(opened(folder, request).patches(at), extract_patches(read_cohort(folder), request))


def test_whole_volumes_are_those_of_the_files_in_canonical_order(tmp_path):
    affine = GRIDS["oblique"]
    images = {
        "T1": turned(noise(SHAPE, affine), np.random.default_rng(1)),
        "FA": noise((9, 9, 9), ELSEWHERE, 2),
    }
    folder = write_cohort(tmp_path, images, centres(affine, np.array([[9, 7, 5]])))
    windows = opened(folder, PatchRequest(("T1", "FA"), 2, resample_to="T1"))
    canonical = nib.as_closest_canonical(images["T1"]).get_fdata()
    assert np.array_equal(windows.volume("T1"), canonical.astype(np.float32))
    every = np.argwhere(np.ones(SHAPE))
    shown = windows.patches(every)
    assert np.abs(shown.raw[:, 2, 2, 1] - windows.volume("FA").ravel()).max() <= CLOSE * 20
    assert np.array_equal(shown.present[:, 1], windows.volume("FA").ravel() != 0)
    assert not windows.volume("T1").flags.writeable


@pytest.mark.parametrize("sequences", [("T1",), ("FA",), ("FA", "T1")])
def test_the_file_that_tells_the_grid_is_known_whether_it_is_asked_for_or_not(tmp_path, sequences):
    images = {"FA": noise((9, 9, 9), ELSEWHERE, 2), "T1": noise(SHAPE, GRIDS["oblique"])}
    folder = write_cohort(tmp_path, images, [[0, 0, 0]])
    windows = opened(folder, PatchRequest(sequences, 1, resample_to="T1"))
    assert windows.placed_like is not None
    assert windows.placed_like.path == folder / "sub" / "T1.nii"
    assert np.array_equal(windows.placed_like.grid.affine, windows.grid.affine)


def test_where_nothing_but_air_is_seen_nothing_is_shown(tmp_path):
    affine = GRIDS["straight"]
    one, two = (noise(SHAPE, affine, k).get_fdata() for k in range(2))
    one[:9], two[:, :5] = 0, 0
    images = {"T1": nib.Nifti1Image(one, affine), "T2": nib.Nifti1Image(two, affine)}
    windows = opened(write_cohort(tmp_path, images, [[0, 0, 0]]), PatchRequest(("T1", "T2"), 1))
    every = np.argwhere(np.ones(SHAPE))
    expected = ~((every[:, 0] < 9) & (every[:, 1] < 5))
    assert np.array_equal(windows.shown(every), expected)


def test_the_brain_is_that_of_the_mask_on_the_grid(tmp_path):
    affine = GRIDS["oblique"]
    inside = np.random.default_rng(0).random(SHAPE) < 0.5
    mask = nib.Nifti1Image(inside.astype(np.uint8), affine)
    images = {"T1": noise(SHAPE, affine), "brain": turned(mask, np.random.default_rng(5))}
    windows = opened(write_cohort(tmp_path, images, [[0, 0, 0]]), PatchRequest(("T1",), 1))
    assert windows.brain is not None
    assert np.array_equal(windows.brain, nib.as_closest_canonical(mask).get_fdata() != 0)


def test_each_file_is_read_once(cohort_folder, monkeypatch):
    read: list[str] = []
    from data_prep import nifti

    genuine = nifti.open_inflated
    monkeypatch.setattr(nifti, "open_inflated", lambda path: read.append(path.name) or genuine(path))
    seen: list[tuple[int, int]] = []
    (windows,) = open_windows(
        read_cohort(cohort_folder), "sub-001", PatchRequest(("T1", "T2"), 2), lambda *done: seen.append(done)
    )
    windows.patches(windows.sites)
    assert sorted(read) == ["T1.nii.gz", "T2.nii.gz"]
    assert seen == [(1, 2), (2, 2)]


def test_no_voxels_give_no_patches_and_a_voxel_outside_is_refused(cohort_folder):
    (windows,) = open_windows(read_cohort(cohort_folder), "sub-001", PatchRequest(("T1", "T2"), 2))
    assert len(windows.patches(np.zeros((0, 3), dtype=np.int64))) == 0
    with pytest.raises(ValueError, match=r"inside the canonical grid \(12, 12, 12\), but got \[0, 12, 3\]"):
        windows.patches(np.array([[1, 1, 1], [0, 12, 3]]))
    with pytest.raises(ValueError, match=r"voxels of shape \(m, 3\)"):
        windows.location(np.array([1, 2, 3]))


def test_an_unknown_participant_names_the_nearest_and_how_many_there_are(cohort_folder):
    with pytest.raises(InputError, match="of the 4 of the cohort is needed, but got 'sub-01'; did you mean"):
        open_windows(read_cohort(cohort_folder), "sub-01", PatchRequest(("T1", "T2"), 2))


def test_sessions_are_visits_of_their_own_name(tmp_path, make_cohort):
    folder = make_cohort(tmp_path, participants=2, biopsies=4, sequences=("T1",), size=12)
    toml = (folder / "cohort.toml").read_text()
    (folder / "cohort.toml").write_text(toml.replace("{participant_id}/", "{participant_id}/{session}/"))
    header, *rows = (folder / "biopsies.tsv").read_text().splitlines()
    rows = [f"{row}\tses-{k // 2}" for k, row in enumerate(rows)]
    (folder / "biopsies.tsv").write_text("\n".join([f"{header}\tsession", *rows, ""]))
    for name in ("sub-000", "sub-001"):
        for session in ("ses-0", "ses-1"):
            (folder / name / session).mkdir()
            (folder / name / session / "T1.nii.gz").write_bytes((folder / name / "T1.nii.gz").read_bytes())
    visits = open_windows(read_cohort(folder), "sub-001", PatchRequest(("T1",), 1))
    assert [visit.name for visit in visits] == ["sub-001_ses-0", "sub-001_ses-1"]
    assert [[b.biopsy_id for b in visit.biopsies] for visit in visits] == [["b01"], ["b03"]]
    assert {visit.participant for visit in visits} == {"sub-001"}
