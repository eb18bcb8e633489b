import gzip
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.problems import InputError
from data_prep.volumes import open_volume, read_volume, slabs

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
    parts = list(slabs(open_volume(path)))
    assert [(start, slab.shape) for start, slab in parts] == [
        (0, (5, 6, 2)),
        (2, (5, 6, 2)),
        (4, (5, 6, 2)),
        (6, (5, 6, 1)),
    ]
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
    header.set_data_shape((1000, 1000, 1000))
    header.set_data_dtype(np.float64)
    header["magic"], header["vox_offset"] = b"n+1", 352
    with gzip.open(tmp_path / "v.nii.gz", "wb") as file:
        file.write(header.binaryblock + bytes(2000))
    with pytest.raises(InputError, match=r"must hold the 8000000352 bytes its header claims"):
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


def sound_by_gzip(content: bytes) -> bool:
    """Whether the standard library inflates it."""
    try:
        return len(gzip.decompress(content)) == 352 + NOISE.nbytes
    except (OSError, EOFError, zlib.error):
        return False


# More than the header's first kilobytes, so that damage is met after the file was opened.
NOISE = RNG.integers(-900, 900, (32, 31, 30)).astype(np.int16)


@settings(max_examples=60)
@given(st.floats(0, 1, exclude_max=True), st.integers(1, 255))
def test_damage_is_found_wherever_the_standard_library_finds_it(tmp_path_factory, place, bits):
    path = saved(tmp_path_factory.mktemp("damage") / "v.nii.gz", NOISE)
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= bits
    path.write_bytes(content)
    if sound_by_gzip(bytes(content)):
        # The damage hit the name or the time that gzip keeps.
        assert np.array_equal(read_volume(open_volume(path))[::-1, ::-1], NOISE)
    else:
        with pytest.raises(InputError, match=r"\A.+\Z"):
            read_volume(open_volume(path))


def test_a_gzip_file_of_several_members_is_read_and_each_is_checked(tmp_path):
    path = saved(tmp_path / "v.nii.gz", NOISE)
    content = gzip.decompress(path.read_bytes())
    members = [gzip.compress(content[at : at + 20000]) for at in range(0, len(content), 20000)]
    path.write_bytes(b"".join(members) + bytes(50))
    assert np.array_equal(read_volume(open_volume(path))[::-1, ::-1], NOISE)
    members[1] = members[1][:-8] + bytes([members[1][-8] ^ 1]) + members[1][-7:]
    path.write_bytes(b"".join(members))
    with pytest.raises(InputError, match="truncated or damaged: CRC check failed"):
        read_volume(open_volume(path))


@pytest.mark.parametrize("more", [b"rest of something", b"\x1f\x8brest of something"])
def test_anything_behind_the_image_is_refused(tmp_path, more):
    path = saved(tmp_path / "v.nii.gz", NOISE)
    path.write_bytes(path.read_bytes() + more)
    with pytest.raises(InputError, match="truncated or damaged"):
        read_volume(open_volume(path))


def test_nifti_2_is_read_and_a_pair_of_files_refused(tmp_path):
    nib.save(nib.Nifti2Image(NOISE, np.eye(4)), tmp_path / "v.nii.gz")
    assert np.array_equal(read_volume(open_volume(tmp_path / "v.nii.gz")), NOISE)
    nib.save(nib.Nifti1Pair(NOISE, np.eye(4)), tmp_path / "v.img")
    (tmp_path / "v.hdr").rename(tmp_path / "v.nii")
    with pytest.raises(InputError, match=r"header and voxels in one, but its magic is b'ni1', not b'n\+1'"):
        open_volume(tmp_path / "v.nii")


def test_integers_that_overflow_when_they_are_scaled_are_counted(tmp_path):
    path = saved(tmp_path / "v.nii", np.array([[[0, 1, 300]]], np.int16))
    content = bytearray(path.read_bytes())
    content[112:116] = np.float32(2e36).tobytes()
    path.write_bytes(content)
    with pytest.raises(InputError, match="voxels must be finite, but 1 of 3 are NaN or infinite"):
        read_volume(open_volume(path))


def test_voxels_that_are_not_finite_are_counted(tmp_path):
    data = np.zeros((4, 4, 4), np.float32)
    data[0, 0, 0], data[1, 2, 3], data[3, 3, 3] = np.nan, np.inf, -np.inf
    with pytest.raises(InputError, match="voxels must be finite, but 3 of 64 are NaN or infinite"):
        read_volume(open_volume(saved(tmp_path / "v.nii.gz", data)))


@pytest.mark.parametrize(
    ("sform_code", "qform_code", "used"),
    [(2, 1, "sform"), (1, 0, "sform"), (0, 1, "qform"), (0, 0, "neither")],
)
def test_the_sform_places_a_grid_where_there_is_one_else_the_qform(tmp_path, sform_code, qform_code, used):
    image = nib.Nifti1Image(np.zeros((4, 5, 6), np.float32), None)
    places = {"sform": np.diag([-2.0, -2.0, 2.0, 1.0]), "qform": np.diag([2.0, 2.0, 2.0, 1.0])}
    places["sform"][:3, 3], places["qform"][:3, 3] = (90, 126, -72), (-10, 20, 30)
    image.set_qform(places["qform"], qform_code)
    image.set_sform(places["sform"], sform_code)
    nib.save(image, tmp_path / "v.nii")
    volume = open_volume(tmp_path / "v.nii")
    assert volume.placed is (used != "neither")
    assert np.array_equal(volume.grid.affine, places.get(used, nib.load(tmp_path / "v.nii").affine))
