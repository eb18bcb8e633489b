from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest

from data_prep.brain import read_brain
from data_prep.problems import InputError
from data_prep.volumes import open_volume

# No axis is a multiple of 8 voxels, and all differ.
MASK = np.random.default_rng(0).integers(0, 3, (5, 6, 7)).astype(np.uint8)
IMAGE = nib.Nifti1Image(MASK, np.diag([-2.0, -1.0, 3.0, 1.0]))


def as_stored(mask):
    shape = mask.grid.shape
    return mask.inside(0, shape[2]).reshape(shape, order="F")


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64])
def test_a_mask_is_true_where_it_is_not_zero(tmp_path, dtype):
    nib.save(
        nib.Nifti1Image((MASK * 0.5 if dtype == np.float32 else MASK).astype(dtype), np.eye(4)),
        tmp_path / "m.nii.gz",
    )
    mask = read_brain(open_volume(tmp_path / "m.nii.gz"))
    assert np.array_equal(as_stored(mask), MASK != 0)
    assert np.array_equal(mask.inside(2, 3), (MASK != 0)[:, :, 2:5].ravel(order="F"))


def test_it_is_read_in_slabs_and_kept_as_bits(tmp_path, monkeypatch):
    monkeypatch.setattr("data_prep.volumes._SLAB_BYTES", 5 * 6 * 2)
    nib.save(IMAGE, tmp_path / "m.nii.gz")
    mask = read_brain(open_volume(tmp_path / "m.nii.gz"))
    assert np.array_equal(as_stored(mask), MASK != 0)
    assert mask.bits.nbytes == 7 * 4


def test_it_is_turned_to_the_order_of_any_file_of_the_same_voxels(tmp_path):
    nib.save(IMAGE, tmp_path / "m.nii")
    mask = read_brain(open_volume(tmp_path / "m.nii"))
    for axes, signs in product(permutations(range(3)), product((1, -1), repeat=3)):
        other = IMAGE.as_reoriented(np.array(list(zip(axes, signs, strict=True))))
        nib.save(other, tmp_path / "other.nii")
        turned = mask.in_order_of(open_volume(tmp_path / "other.nii").grid)
        assert np.array_equal(as_stored(turned), np.asarray(other.dataobj) != 0)


def test_a_mask_that_is_zero_everywhere_is_refused(tmp_path):
    nib.save(nib.Nifti1Image(MASK * 0, np.eye(4)), tmp_path / "m.nii")
    with pytest.raises(InputError, match="must be true somewhere, but it is zero everywhere"):
        read_brain(open_volume(tmp_path / "m.nii"))
