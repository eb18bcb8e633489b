from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest
from scipy.spatial import cKDTree

from data_prep.brain import read_brain
from data_prep.geometry import Grid
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


def test_the_voxels_of_another_grid_are_what_the_nearest_of_the_mask_is(tmp_path):
    """Among all voxel centres in the world, and none where the mask has no voxel."""
    turn = nib.eulerangles.euler2mat(0.2, -0.1, 0.3)
    cube = nib.Nifti1Image(MASK, nib.affines.from_matvec(turn * 2.0, [-4.31, 3.1, 2.2]))
    nib.save(cube, tmp_path / "m.nii")
    mask = read_brain(open_volume(tmp_path / "m.nii"))
    image = nib.Nifti1Image(
        np.zeros((9, 14, 11), np.float32), nib.affines.from_matvec(np.diag([-1.0, 1.1, 1.3]), [4, 0, 0])
    )
    nib.save(image, tmp_path / "i.nii")
    centres = nib.affines.apply_affine(cube.affine, [*np.ndindex(MASK.shape)])
    voxels = nib.affines.apply_affine(image.affine, [*np.ndindex(image.shape)])
    nearest = MASK.ravel()[cKDTree(centres).query(voxels)[1]] != 0
    at = nib.affines.apply_affine(np.linalg.inv(cube.affine), voxels)
    inside = ((at > -0.5) & (at < np.array(MASK.shape) - 0.5)).all(axis=1)
    seen = as_stored(mask.in_order_of(open_volume(tmp_path / "i.nii").grid))
    assert 0 < inside.mean() < 1
    assert np.array_equal(seen.ravel(), nearest & inside)


def test_a_grid_without_any_brain_is_refused(tmp_path):
    nib.save(IMAGE, tmp_path / "m.nii")
    mask = read_brain(open_volume(tmp_path / "m.nii"))
    with pytest.raises(InputError, match="some brain is needed, but the brain mask lies elsewhere"):
        mask.in_order_of(Grid((5, 6, 7), nib.affines.from_matvec(np.eye(3), [200, 0, 0])))


def test_a_mask_that_is_zero_everywhere_is_refused(tmp_path):
    nib.save(nib.Nifti1Image(MASK * 0, np.eye(4)), tmp_path / "m.nii")
    with pytest.raises(InputError, match="must be true somewhere, but it is zero everywhere"):
        read_brain(open_volume(tmp_path / "m.nii"))
