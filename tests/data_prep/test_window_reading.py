"""What is wrong with the files of a participant is said as `extract_patches` says it."""

import nibabel as nib
import numpy as np
import pytest

from data_prep import window_reading
from data_prep.cohort import read_cohort
from data_prep.patch_set import PatchRequest
from data_prep.patches import extract_patches
from data_prep.problems import InputError
from data_prep.window_reading import read_visits

BOTH = PatchRequest(("T1", "T2"), 2)


def lines(folder, request=BOTH) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Problems of the windows of sub-001 and of the extraction of everybody."""
    cohort = read_cohort(folder)
    with pytest.raises(InputError) as mine:
        read_visits(cohort, "sub-001", request, None)
    with pytest.raises(InputError) as theirs:
        extract_patches(cohort, request)
    return mine.value.problems, theirs.value.problems


def change(path, function) -> None:
    image = nib.load(path)
    data = np.asarray(image.dataobj).copy()
    nib.save(function(data, image.affine), path)


def spoiled(data, affine):
    data[3, 4, 5] = np.nan
    return nib.Nifti1Image(data, affine)


def test_every_fault_of_the_files_is_told_at_once_as_the_extraction_tells_it(cohort_folder):
    home = cohort_folder / "sub-001"
    change(home / "T1.nii.gz", spoiled)
    content = (home / "T2.nii.gz").read_bytes()
    (home / "T2.nii.gz").write_bytes(content[: len(content) // 2])
    mine, theirs = lines(cohort_folder)
    assert mine == theirs
    assert [line.split(":")[0] for line in mine] == ["sub-001/T1.nii.gz", "sub-001/T2.nii.gz"]


def test_grids_that_differ_are_told_and_damage_beside_them(cohort_folder):
    home = cohort_folder / "sub-001"
    change(home / "T1.nii.gz", spoiled)
    change(home / "T2.nii.gz", lambda data, affine: nib.Nifti1Image(data[:-2], affine))
    mine, theirs = lines(cohort_folder)
    assert mine == theirs
    assert any("must lie on one grid" in line for line in mine)
    assert any("NaN or infinite" in line for line in mine)


def test_an_empty_brain_mask_is_told(cohort_folder):
    with (cohort_folder / "cohort.toml").open("a") as file:
        file.write('\n[masks]\nbrain = "{participant_id}/brain.nii.gz"\n')
    empty = nib.Nifti1Image(
        np.zeros((12,) * 3, np.uint8), nib.load(cohort_folder / "sub-001/T1.nii.gz").affine
    )
    nib.save(empty, cohort_folder / "sub-001" / "brain.nii.gz")
    mine, theirs = lines(cohort_folder)
    assert mine == theirs
    assert "sub-001/brain.nii.gz: a brain mask must be true somewhere" in mine[0]


def test_what_is_wrong_with_others_is_not_told(cohort_folder):
    change(cohort_folder / "sub-002" / "T1.nii.gz", spoiled)
    (cohort_folder / "sub-003" / "T2.nii.gz").write_bytes(b"")
    (visit,) = read_visits(read_cohort(cohort_folder), "sub-001", BOTH, None)
    assert sorted(visit.volumes.held) == [0, 1]


def test_unknown_sequences_and_participants_are_told_together(cohort_folder):
    request = PatchRequest(("T1", "T2x"), 2, resample_to="T9")
    with pytest.raises(InputError, match=r"participant: .*'nobody'") as caught:
        read_visits(read_cohort(cohort_folder), "nobody", request, None)
    assert [line.split(":")[0] for line in caught.value.problems] == [
        "participant",
        "sequences",
        "resample_to",
    ]


def test_a_participant_without_the_reference_needs_voxels_like_those_of_others(cohort_folder):
    """sub-001 alone lacks T2, whose grid counts, and has voxels of 2 mm."""
    (cohort_folder / "sub-001" / "T2.nii.gz").unlink()
    stretched = np.diag([2.0, 2.0, 2.0, 1.0])
    stretched[:3, 3] = -12
    change(cohort_folder / "sub-001" / "T1.nii.gz", lambda data, _: nib.Nifti1Image(data, stretched))
    request = PatchRequest(("T1", "T2"), 2, resample_to="T2")
    mine, theirs = lines(cohort_folder, request)
    assert mine == theirs
    assert "must have voxels as large as those who have it" in mine[0]
    read_visits(read_cohort(cohort_folder), "sub-000", request, None)


def test_volumes_that_cannot_be_held_are_refused_before_they_are_read(cohort_folder, monkeypatch):
    monkeypatch.setattr(window_reading, "memory_bytes", lambda: 2 * 12**3 * 4 * 2 - 8)
    with pytest.raises(InputError, match=r"images: those of a participant may take 0\.0 GiB, 50%"):
        read_visits(read_cohort(cohort_folder), "sub-001", BOTH, None)
