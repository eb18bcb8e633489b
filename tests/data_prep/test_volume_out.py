"""What is written lies where the images lie: for nibabel, nilearn and SimpleITK alike."""

import errno

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st
from nilearn.image import load_img, resample_to_img

from data_prep.geometry import Grid
from data_prep.volume_out import write_volume
from data_prep.volumes import open_volume, read_volume
from tests.data_prep.placed import ORIENTATIONS, affine_of

SHAPE = (6, 5, 4)
CODES = [(1, 1), (2, 0), (0, 3), (4, 4)]
GRIDS = [
    affine_of([1, 1, 1], [-3, 2, 5]),
    affine_of([0.8, 1.2, 2.5], [-7.3, 9.2, -14.1]),
    affine_of([0.9, 1.1, 2.0], [-8.3, -7.2, 11.1], [9, -14, 6]),
]


def scan(folder, affine, orientation, sform=1, qform=1):
    """A file as a scanner stores it, and our view of it."""
    image = nib.Nifti1Image(np.random.default_rng(0).normal(size=SHAPE).astype(np.float32), affine)
    image = image.as_reoriented(orientation)
    image.set_sform(image.affine, sform)
    image.set_qform(image.affine, qform)
    nib.save(image, folder / "scan.nii.gz")
    return open_volume(folder / "scan.nii.gz")


def some_map(grid: Grid) -> np.ndarray:
    values = np.random.default_rng(1).normal(size=grid.canonical_shape).astype(np.float32)
    values[values > 1] = np.nan
    return values


@settings(max_examples=30)
@given(st.sampled_from(GRIDS), st.sampled_from(ORIENTATIONS), st.sampled_from(CODES))
def test_nibabel_nilearn_and_simpleitk_see_each_value_where_it_belongs(
    tmp_path_factory, affine, orientation, codes
):
    folder = tmp_path_factory.mktemp("out")
    like = scan(folder, affine, orientation, *codes)
    values = some_map(like.grid)
    write_volume(folder / "map.nii.gz", values, like.grid, like)
    image, source = nib.load(folder / "map.nii.gz"), nib.load(folder / "scan.nii.gz")
    assert nib.aff2axcodes(image.affine) == nib.aff2axcodes(source.affine)
    assert np.array_equal(image.affine, source.affine)
    for name in ("sform_code", "qform_code", "pixdim", "srow_x", "quatern_b", "qoffset_x"):
        assert np.array_equal(image.header[name], source.header[name])
    assert image.header.get_xyzt_units()[0] == "mm"
    assert image.get_data_dtype() == np.float32
    assert np.array_equal(nib.as_closest_canonical(image).get_fdata(dtype=np.float32), values, equal_nan=True)
    assert np.array_equal(load_img(folder / "map.nii.gz").get_fdata(), image.get_fdata(), equal_nan=True)
    itk = SimpleITK.ReadImage(folder / "map.nii.gz")
    for voxel in ((0, 0, 0), (2, 1, 3), tuple(np.array(values.shape) - 1)):
        world = nib.affines.apply_affine(like.grid.canonical_affine, voxel)
        index = itk.TransformPhysicalPointToIndex((world * [-1, -1, 1]).tolist())
        assert np.array_equal(itk[index], float(values[voxel]), equal_nan=True)


def test_a_real_scan_stored_lps_stays_lps(shared_cohort, tmp_path):
    folder = shared_cohort("glioma_mr_case") / "sub-01"
    like = open_volume(folder / "T1Gd.nii.gz")
    write_volume(tmp_path / "copy.nii.gz", read_volume(like), like.grid, like)
    ours, theirs = (SimpleITK.ReadImage(p) for p in (tmp_path / "copy.nii.gz", folder / "T1Gd.nii.gz"))
    assert nib.aff2axcodes(nib.load(tmp_path / "copy.nii.gz").affine) == ("L", "P", "S")
    assert (ours.GetOrigin(), ours.GetDirection()) == (theirs.GetOrigin(), theirs.GetDirection())
    assert np.array_equal(SimpleITK.GetArrayViewFromImage(ours), SimpleITK.GetArrayViewFromImage(theirs))
    onto = resample_to_img(tmp_path / "copy.nii.gz", folder / "FLAIR.nii.gz", "nearest")
    assert np.array_equal(onto.get_fdata(), nib.load(folder / "T1Gd.nii.gz").get_fdata())


def test_regions_are_small_integers(tmp_path):
    like = scan(tmp_path, GRIDS[2], ORIENTATIONS[17])
    region = np.random.default_rng(2).random(like.grid.canonical_shape) < 0.5
    for name, values in (("bool", region), ("uint8", region.astype(np.uint8) * 3)):
        write_volume(tmp_path / f"{name}.nii.gz", values, like.grid, like)
        image = nib.load(tmp_path / f"{name}.nii.gz")
        assert image.get_data_dtype() == np.uint8
        assert np.array_equal(nib.as_closest_canonical(image).get_fdata(), values)


def test_a_description_is_told_by_the_header_as_far_as_it_fits(tmp_path):
    grid = Grid((2, 2, 2), np.eye(4))
    for told in ("1 CD3D", "x" * 100):
        write_volume(tmp_path / "v.nii.gz", np.zeros((2, 2, 2), np.uint8), grid, description=told)
        assert nib.load(tmp_path / "v.nii.gz").header["descrip"].item().decode() == told[:79]


@pytest.mark.parametrize("affine", GRIDS)
def test_a_grid_without_a_file_gets_both_forms(tmp_path, affine):
    grid = Grid(SHAPE, affine)
    write_volume(tmp_path / "map.nii", some_map(grid), grid)
    image = nib.load(tmp_path / "map.nii")
    assert (image.header["sform_code"], image.header["qform_code"]) == (1, 1)
    np.testing.assert_allclose(image.get_qform(), affine, atol=1e-4)
    np.testing.assert_array_equal(image.get_sform(), affine)


def test_a_sheared_grid_gets_no_qform_which_could_not_say_it(tmp_path):
    affine = affine_of([1, 1, 1], [0, 0, 0])
    affine[0, 2] = 0.3
    grid = Grid(SHAPE, affine)
    write_volume(tmp_path / "map.nii", some_map(grid), grid)
    image = nib.load(tmp_path / "map.nii")
    assert (image.header["sform_code"], image.header["qform_code"]) == (1, 0)
    np.testing.assert_allclose(image.affine, affine, atol=1e-6)


def test_a_scan_that_lies_nowhere_stays_so_and_keeps_its_voxels(tmp_path):
    like = scan(tmp_path, GRIDS[1], ORIENTATIONS[5], 0, 0)
    assert not like.placed
    write_volume(tmp_path / "map.nii.gz", some_map(like.grid), like.grid, like)
    again = open_volume(tmp_path / "map.nii.gz")
    assert not again.placed
    assert np.array_equal(again.grid.affine, like.grid.affine)


def test_the_same_content_gives_the_same_bytes_wherever_it_is_written(tmp_path):
    like = scan(tmp_path, GRIDS[0], ORIENTATIONS[3])
    for name in ("one.nii.gz", "a/two.nii.gz"):
        write_volume(tmp_path / name, some_map(like.grid), like.grid, like)
    assert (tmp_path / "one.nii.gz").read_bytes() == (tmp_path / "a" / "two.nii.gz").read_bytes()


def test_other_types_shapes_and_grids_are_refused(tmp_path):
    like = scan(tmp_path, GRIDS[0], ORIENTATIONS[0])
    with pytest.raises(ValueError, match="float, uint8 or bool is needed, but got int64"):
        write_volume(tmp_path / "map.nii.gz", np.zeros(SHAPE, np.int64), like.grid)
    with pytest.raises(ValueError, match="float, uint8 or bool is needed, but got uint16"):
        write_volume(tmp_path / "map.nii.gz", np.zeros(SHAPE, np.uint16), like.grid)
    with pytest.raises(ValueError, match=r"the grid's, is needed, but got \(6, 5, 5\)"):
        write_volume(tmp_path / "map.nii.gz", np.zeros((6, 5, 5)), like.grid)
    with pytest.raises(ValueError, match="is on another grid"):
        write_volume(tmp_path / "map.nii.gz", np.zeros(SHAPE), Grid(SHAPE, GRIDS[1]), like)
    assert not (tmp_path / "map.nii.gz").exists()


def test_a_full_disk_leaves_the_earlier_file(tmp_path, files_end_at):
    like = scan(tmp_path, GRIDS[0], ORIENTATIONS[0])
    write_volume(tmp_path / "map.nii.gz", some_map(like.grid), like.grid)
    before = (tmp_path / "map.nii.gz").read_bytes()
    files_end_at(100)
    with pytest.raises(OSError, match="too large") as caught:
        write_volume(tmp_path / "map.nii.gz", -some_map(like.grid), like.grid)
    files_end_at(None)
    assert caught.value.errno == errno.EFBIG
    assert (tmp_path / "map.nii.gz").read_bytes() == before
