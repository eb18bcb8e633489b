"""Headers as nibabel reads them; those that lie are in tests/contracts/test_bad_input_nifti.py."""

from __future__ import annotations

import gzip
import os
from itertools import pairwise
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from data_prep import nifti
from data_prep.problems import InputError
from data_prep.volumes import open_volume, read_volume


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".NII.GZ"])
@pytest.mark.parametrize("dtype", [np.int16, np.float64, np.uint8])
def test_a_header_is_what_nibabel_reads(tmp_path: Path, kind: type, suffix: str, dtype: type) -> None:
    image = kind(np.ones((3, 4, 5), dtype), np.diag([-2.0, 3.0, 4.0, 1.0]))
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"x" * 50))
    image.header.set_slope_inter(*((2.5, -1.0) if dtype is np.int16 else (None, None)))
    nib.save(image, tmp_path / f"v{suffix}")
    header, expected = nifti.read_header(tmp_path / f"v{suffix}"), nib.load(tmp_path / f"v{suffix}")
    assert nifti.shape_of(header) == expected.shape
    assert nifti.dtype_of(header) == expected.dataobj.dtype
    assert nifti.offset_of(header) == expected.dataobj.offset > header.single_vox_offset
    assert nifti.scaling_of(header) == (expected.dataobj.slope, expected.dataobj.inter)
    np.testing.assert_array_equal(nifti.affine_of(header), expected.affine)


def test_only_the_beginning_of_a_compressed_file_is_inflated(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.random.default_rng(0).random((40, 40, 40)), np.eye(4)), tmp_path / "v.nii.gz")
    content = (tmp_path / "v.nii.gz").read_bytes()
    (tmp_path / "v.nii.gz").write_bytes(content[: len(content) // 2])
    assert nifti.shape_of(nifti.read_header(tmp_path / "v.nii.gz")) == (40, 40, 40)


@pytest.mark.parametrize("cuts", [(0, 5), (4, 4, 300), (100, 400)])
@pytest.mark.parametrize("padding", [b"", bytes(7)])
def test_a_header_may_be_spread_over_members_of_gzip(
    tmp_path: Path, cuts: tuple[int, ...], padding: bytes
) -> None:
    image = nib.Nifti1Image(np.arange(60, dtype=np.int16).reshape(3, 4, 5), np.diag([2.0, 3.0, 4.0, 1.0]))
    whole, ends = image.to_bytes(), (0, *cuts, None)
    members = [gzip.compress(whole[start:end]) for start, end in pairwise(ends)]
    (tmp_path / "v.nii.gz").write_bytes(padding.join(members))
    volume = open_volume(tmp_path / "v.nii.gz")
    np.testing.assert_array_equal(read_volume(volume), image.get_fdata())


def test_a_header_that_ends_within_its_members_is_truncated(tmp_path: Path) -> None:
    header = nib.Nifti1Image(np.zeros((3, 4, 5), np.int16), np.eye(4)).to_bytes()[:300]
    (tmp_path / "v.nii.gz").write_bytes(gzip.compress(header[:200]) + gzip.compress(header[200:]))
    with pytest.raises(InputError, match="truncated: 300 bytes"):
        nifti.read_header(tmp_path / "v.nii.gz")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "v.nii")
    with pytest.raises(InputError, match="a plain file is needed, but got a pipe"):
        nifti.read_header(tmp_path / "v.nii")


def test_a_file_is_held_against_what_its_size_can_hold(tmp_path: Path) -> None:
    (tmp_path / "v.nii").write_bytes(bytes(1000))
    (tmp_path / "v.nii.gz").write_bytes(gzip.compress(bytes(1000)))
    nifti.check_size(tmp_path / "v.nii", 1000, (1,))
    nifti.check_size(tmp_path / "v.nii.gz", 1000, (1,))
    for name in ("v.nii", "v.nii.gz"):
        with pytest.raises(InputError, match="must hold the 2000000 bytes"):
            nifti.check_size(tmp_path / name, 2_000_000, (1,))
