from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from data_prep.cohort import read_cohort
from data_prep.imprints import imprint, imprints_of
from data_prep.problems import InputError
from tests.data_prep.placed import ORIENTATIONS

BOTH = ("T1", "T2")


def of(folder: Path, participant: str) -> tuple[str, ...]:
    cohort = read_cohort(folder)
    return imprints_of(cohort, [b for b in cohort.biopsies if b.participant_id == participant], BOTH)


def stored_otherwise(image: nib.Nifti1Image, dtype: type, orientation: np.ndarray) -> nib.Nifti1Image:
    """The same intensities in another order, type and place, whole numbers with a slope and an intercept."""
    turned = image.as_reoriented(orientation)
    values, affine = turned.get_fdata(), turned.affine + np.eye(4, k=3) * 7
    if np.issubdtype(dtype, np.floating):
        return nib.Nifti1Image(values.astype(dtype), affine)
    moved = nib.Nifti1Image(np.rint((values + 4) / 0.5).astype(dtype), affine)
    moved.header.set_slope_inter(0.5, -4)
    return moved


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.float64])
def test_neither_order_nor_type_nor_scaling_nor_place_tells(cohort_folder, dtype):
    paths = sorted((cohort_folder / "sub-001").glob("*.nii.gz"))
    for path in paths:
        image = nib.load(path)
        nib.save(nib.Nifti1Image(np.rint(image.get_fdata()).astype(np.float32), image.affine), path)
    before = of(cohort_folder, "sub-001")
    for path, orientation in zip(paths, (ORIENTATIONS[11], ORIENTATIONS[34]), strict=True):
        nib.save(stored_otherwise(nib.load(path), dtype, orientation), path)
        assert nib.load(path).get_data_dtype() == dtype
    assert of(cohort_folder, "sub-001") == before
    assert len(before) == 2


def test_participants_share_none(cohort_folder):
    found = [of(cohort_folder, f"sub-{k:03}") for k in range(4)]
    assert len({one for each in found for one in each}) == 8
    assert all(list(each) == sorted(each) for each in found)


def test_one_voxel_or_another_shape_gives_another_imprint_and_the_sign_of_zero_does_not():
    voxels = np.random.default_rng(0).normal(size=(4, 6, 5)).astype(np.float32)
    voxels[0, 0, 0] = 0.0
    other, signed = voxels.copy(), voxels.copy()
    other[3, 5, 4] = np.nextafter(other[3, 5, 4], np.float32(9))
    signed[0, 0, 0] = -0.0
    assert imprint(other) != imprint(voxels)
    assert imprint(voxels.reshape(6, 4, 5)) != imprint(voxels)
    assert imprint(signed) == imprint(voxels)
    assert imprint(np.asfortranarray(voxels)) == imprint(voxels)


def test_a_picture_of_nothing_tells_nobody_from_anybody(cohort_folder):
    for name in ("sub-000", "sub-001"):
        path = cohort_folder / name / "T2.nii.gz"
        nib.save(nib.Nifti1Image(np.zeros((12,) * 3, np.float32), nib.load(path).affine), path)
    one, other = of(cohort_folder, "sub-000"), of(cohort_folder, "sub-001")
    assert (len(one), len(other)) == (1, 1)
    assert one != other


def test_every_file_that_cannot_be_read_is_named(cohort_folder):
    cohort = read_cohort(cohort_folder)
    (cohort_folder / "sub-000" / "T1.nii.gz").write_bytes(b"")
    path = cohort_folder / "sub-002" / "T2.nii.gz"
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(InputError, match="truncated or damaged") as caught:
        imprints_of(cohort, cohort.biopsies, BOTH)
    assert [line.split(":")[0] for line in caught.value.problems] == [
        "sub-000/T1.nii.gz",
        "sub-002/T2.nii.gz",
    ]
