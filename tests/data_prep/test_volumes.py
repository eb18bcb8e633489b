import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.problems import InputError
from data_prep.volumes import mean_and_std, open_volume, read_volume

RNG = np.random.default_rng(0)


def saved(path: Path, data: np.ndarray) -> Path:
    nib.save(nib.Nifti1Image(data, np.diag([-1.0, -1.0, 2.0, 1.0])), path)
    return path


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32, np.float64, np.uint16])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_any_number_type_is_read_as_float32_in_canonical_order(tmp_path, dtype, suffix):
    path = saved(tmp_path / f"v{suffix}", (RNG.random((5, 6, 7)) * 200).astype(dtype))
    voxels = read_volume(open_volume(path))
    expected = nib.as_closest_canonical(nib.load(path)).get_fdata().astype(np.float32)
    assert voxels.dtype == np.float32
    assert np.array_equal(voxels, expected)


def test_scaled_integers_are_rounded_only_once(tmp_path):
    image = nib.Nifti1Image(RNG.integers(-30000, 30000, (5, 6, 7)).astype(np.int16), np.eye(4))
    image.header.set_slope_inter(0.0123, -4.5)
    nib.save(image, tmp_path / "v.nii.gz")
    loaded = nib.load(tmp_path / "v.nii.gz")
    assert loaded.dataobj.slope != 1.0
    voxels = read_volume(open_volume(tmp_path / "v.nii.gz"))
    assert np.array_equal(voxels, loaded.get_fdata().astype(np.float32))


def test_a_volume_is_read_in_slabs(tmp_path, monkeypatch):
    path = saved(tmp_path / "v.nii.gz", RNG.random((5, 6, 7)))
    monkeypatch.setattr("data_prep.volumes._SLAB_BYTES", 5 * 6 * 8 * 2)
    assert np.array_equal(
        read_volume(open_volume(path))[::-1, ::-1], nib.load(path).get_fdata().astype(np.float32)
    )


def test_big_endian_files_are_read(tmp_path):
    data = RNG.random((3, 4, 5)).astype(np.float32)
    nib.save(nib.Nifti1Image(data, np.eye(4), nib.Nifti1Header(endianness=">")), tmp_path / "v.nii")
    assert open_volume(tmp_path / "v.nii").dtype.byteorder == ">"
    assert np.array_equal(read_volume(open_volume(tmp_path / "v.nii")), data)


def test_a_fourth_dimension_of_one_is_dropped_and_any_other_refused(tmp_path):
    assert open_volume(saved(tmp_path / "a.nii", np.zeros((3, 4, 5, 1)))).grid.shape == (3, 4, 5)
    with pytest.raises(InputError, match=r"three dimensions, but got shape \(3, 4, 5, 2\)"):
        open_volume(saved(tmp_path / "b.nii", np.zeros((3, 4, 5, 2))))


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("kept", [0, 1, 100, 400, -200, -3])
def test_a_truncated_file_is_refused(tmp_path, suffix, kept):
    path = saved(tmp_path / f"v{suffix}", RNG.random((8, 8, 8)))
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(InputError, match=r"readable|truncated"):
        read_volume(open_volume(path))


@pytest.mark.parametrize("content", [b"not an image at all" * 40, b"\x1f\x8b" + b"x" * 500, bytes(1000)])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_file_that_is_no_nifti_is_refused(tmp_path, content, suffix):
    (tmp_path / f"v{suffix}").write_bytes(content)
    with pytest.raises(InputError, match=r"NIfTI|three dimensions"):
        open_volume(tmp_path / f"v{suffix}")


def test_a_damaged_byte_is_found_by_the_checksum(tmp_path):
    path = saved(tmp_path / "v.nii.gz", RNG.random((8, 8, 8)))
    content = bytearray(path.read_bytes())
    content[-6] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(InputError, match="truncated or damaged"):
        read_volume(open_volume(path))


@given(st.dictionaries(st.integers(0, 351), st.integers(0, 255), min_size=1, max_size=4))
def test_a_damaged_header_is_read_or_refused_but_never_crashes(tmp_path_factory, changes):
    path = saved(tmp_path_factory.mktemp("header") / "v.nii", np.ones((4, 5, 6), np.int16))
    content = bytearray(path.read_bytes())
    for place, value in changes.items():
        content[place] = value
    path.write_bytes(content)
    try:
        outcome = read_volume(open_volume(path))
    except InputError as error:
        outcome = error
    readable = isinstance(outcome, np.ndarray) and outcome.dtype == np.float32 and np.isfinite(outcome).all()
    assert readable or len(str(outcome).splitlines()) == 1


def test_a_header_that_claims_absurdly_many_voxels_is_refused_before_allocation(tmp_path):
    header = nib.Nifti1Header()
    header.set_data_shape((30000, 30000, 30000))
    header.set_data_dtype(np.float64)
    header["magic"], header["vox_offset"] = b"n+1", 352
    with gzip.open(tmp_path / "v.nii.gz", "wb") as file:
        file.write(header.binaryblock + bytes(2000))
    with pytest.raises(InputError, match=r"must hold the 216000000000352 bytes its header claims"):
        open_volume(tmp_path / "v.nii.gz")


def test_complex_and_colour_voxels_are_refused(tmp_path):
    with pytest.raises(InputError, match="voxels must be real numbers, but got complex64"):
        open_volume(saved(tmp_path / "v.nii", np.zeros((3, 3, 3), np.complex64)))


def test_an_affine_without_extent_is_refused(tmp_path):
    header = nib.Nifti1Image(np.zeros((3, 3, 3), np.uint8), np.eye(4)).header
    header["srow_x"], header["magic"], header["vox_offset"] = 0, b"n+1", 352
    (tmp_path / "v.nii").write_bytes(header.binaryblock + bytes(4 + 27))
    with pytest.raises(InputError, match="the affine must be invertible"):
        open_volume(tmp_path / "v.nii")


def test_voxels_that_are_not_finite_are_counted(tmp_path):
    data = np.zeros((4, 4, 4), np.float32)
    data[0, 0, 0], data[1, 2, 3], data[3, 3, 3] = np.nan, np.inf, -np.inf
    with pytest.raises(InputError, match="voxels must be finite, but 3 of 64 are NaN or infinite"):
        read_volume(open_volume(saved(tmp_path / "v.nii.gz", data)))


@given(st.integers(0, 2**32 - 1), st.floats(-1e4, 1e4), st.floats(0.01, 100))
def test_moments_equal_those_of_numpy(seed, mean, std):
    data = np.random.default_rng(seed).normal(mean, std, (4, 5, 6)).astype(np.float32)
    data[0] = 0
    inside = data[data != 0].astype(np.float64)
    assert mean_and_std(data, None) == pytest.approx((inside.mean(), inside.std()), rel=1e-9, abs=1e-9)


def test_moments_do_not_depend_on_the_chunks_or_the_order_in_memory(monkeypatch):
    data = RNG.normal(100, 3, (7, 8, 9)).astype(np.float32)
    whole = mean_and_std(data, None)
    assert mean_and_std(np.asfortranarray(data), None) == whole
    monkeypatch.setattr("data_prep.volumes._SLAB_BYTES", 7 * 8 * 8 * 2)
    assert mean_and_std(data, None) == pytest.approx(whole, rel=1e-12)


def test_moments_are_taken_inside_the_brain_mask():
    data = RNG.normal(5, 2, (4, 4, 4)).astype(np.float32)
    mask = data > 5
    assert mean_and_std(data, mask) == pytest.approx((data[mask].mean(), data[mask].std()), rel=1e-5)
    assert mean_and_std(data, np.zeros_like(mask)) == mean_and_std(data, None)


def test_a_mask_used_as_a_sequence_is_scored_over_all_voxels():
    data = np.zeros((4, 4, 4), np.float32)
    data[:1] = 1
    assert mean_and_std(data, None) == pytest.approx((0.25, np.sqrt(0.25 * 0.75)))
    assert mean_and_std(data, data == 1) == mean_and_std(data, None)


@pytest.mark.parametrize("value", [0.0, 0.1, -7.0])
def test_a_constant_image_has_standard_deviation_one(value):
    data = np.full((3, 3, 3), value, np.float32)
    assert mean_and_std(data, None) == (np.float32(value), 1.0)
