from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest

from data_prep.brain import read_brain
from data_prep.cohort import read_cohort
from data_prep.features.location import bounding_box, location
from data_prep.problems import InputError
from data_prep.volumes import open_volume
from tests.data_prep.placed import affine_of, noise, write_cohort

LOW, HIGH = np.array([1, 2, 0]), np.array([9, 10, 8])


def mask_of(shape=(12, 12, 12)) -> nib.Nifti1Image:
    affine = np.eye(4)
    affine[:3, 3] = -6
    data = np.zeros(shape, np.uint8)
    data[1, 5, 5] = data[9, 5, 5] = data[5, 2, 5] = data[5, 10, 5] = data[5, 5, 0] = data[5, 5, 8] = 1
    return nib.Nifti1Image(data, affine)


def add_masks(folder, participants=range(4)) -> None:
    with (folder / "cohort.toml").open("a") as file:
        file.write('[masks]\nbrain = "{participant_id}/brain.nii.gz"\n')
    for participant in participants:
        nib.save(mask_of(), folder / f"sub-{participant:03}" / "brain.nii.gz")


def voxels(cohort) -> np.ndarray:
    return np.array([biopsy.position for biopsy in cohort.biopsies]) + 6


def test_sites_are_placed_in_the_box_of_the_brain(cohort_folder):
    add_masks(cohort_folder)
    cohort = read_cohort(cohort_folder)
    table = location(cohort, ("T1",))
    assert table.names == ("right", "anterior", "superior")
    assert table.values == pytest.approx((voxels(cohort) - LOW) / (HIGH - LOW))


def test_without_a_mask_the_image_is_the_box(cohort_folder):
    add_masks(cohort_folder, participants=[1])
    cohort = read_cohort(cohort_folder)
    expected = voxels(cohort) / 11
    masked = np.array([biopsy.participant_id == "sub-001" for biopsy in cohort.biopsies])
    expected[masked] = ((voxels(cohort) - LOW) / (HIGH - LOW))[masked]
    assert location(cohort, ("T1", "T2")).values == pytest.approx(expected)


def test_how_files_are_stored_does_not_matter(cohort_folder):
    add_masks(cohort_folder)
    cohort = read_cohort(cohort_folder)
    expected = location(cohort, ("T1",)).values
    for path in cohort_folder.glob("sub-*/*.nii.gz"):
        image = nib.load(path)
        image = nib.Nifti1Image(np.asarray(image.dataobj), image.affine)
        order = [[2, -1], [0, 1], [1, -1]] if path.name == "brain.nii.gz" else [[1, 1], [0, -1], [2, -1]]
        nib.save(image.as_reoriented(np.array(order)), path)
    assert np.array_equal(location(cohort, ("T1",)).values, expected)


def test_the_box_is_the_same_in_all_48_orientations(tmp_path):
    for axes, signs in product(permutations(range(3)), product((1, -1), repeat=3)):
        orientation = np.array(list(zip(axes, signs, strict=True)))
        nib.save(mask_of((12, 13, 14)).as_reoriented(orientation), tmp_path / "mask.nii.gz")
        low, high = bounding_box(read_brain(open_volume(tmp_path / "mask.nii.gz")))
        assert np.array_equal([low, high], [LOW, HIGH])


def test_a_slice_of_one_voxel_has_its_sites_in_the_middle(cohort_folder):
    add_masks(cohort_folder)
    flat = mask_of()
    data = np.asarray(flat.dataobj) * 0
    data[1:10, 2:11, 5] = 1
    nib.save(nib.Nifti1Image(data, flat.affine), cohort_folder / "sub-000" / "brain.nii.gz")
    cohort = read_cohort(cohort_folder)
    mine = [biopsy.participant_id == "sub-000" for biopsy in cohort.biopsies]
    assert (location(cohort, ("T1",)).values[mine, 2] == 0.5).all()


def test_a_mask_of_its_own_voxels_is_a_box_on_the_grid_of_the_reference(tmp_path):
    """A mask of 2 mm voxels, each of which covers two of T1's along every axis, and a map on a third grid."""
    mask = np.zeros((11, 12, 13), np.uint8)
    mask[2:8, 3:9, 1:10] = 1
    images = {
        "T1": noise((20, 21, 22), affine_of([1, 1, 1], [-10, -10, -10])),
        "FA": noise((12, 13, 14), affine_of([2, 2, 2], [-12, -12, -12])),
        "brain": nib.Nifti1Image(mask, affine_of([2, 2, 2], [-9.5, -9.5, -9.5])),
    }
    cohort = read_cohort(write_cohort(tmp_path, images, [[0.0, 1.0, 2.0]]))
    low, high = np.array([4, 6, 2]), np.array([15, 17, 19])
    found = location(cohort, ("T1", "FA"), "T1").values[0]
    assert found == pytest.approx((np.array([10, 11, 12]) - low) / (high - low))


def test_every_faulty_mask_is_named(cohort_folder):
    add_masks(cohort_folder)
    for name in ("sub-001", "sub-003"):
        nib.save(
            nib.Nifti1Image(np.zeros((12,) * 3, np.uint8), mask_of().affine),
            cohort_folder / name / "brain.nii.gz",
        )
    with pytest.raises(InputError, match="a brain mask must be true somewhere") as caught:
        location(read_cohort(cohort_folder), ("T1",))
    assert [line.split(":")[0] for line in caught.value.problems] == [
        "sub-001/brain.nii.gz",
        "sub-003/brain.nii.gz",
    ]
