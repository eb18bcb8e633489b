from __future__ import annotations

import hashlib
from pathlib import Path

import nibabel
import numpy as np
import pytest

from data_prep.files import FULL
from data_prep.phantom.write import new_folder, nifti_bytes, quantise
from data_prep.problems import InputError

AFFINE = np.array([[0.99, -0.1, 0, 5], [0.1, 0.99, 0, -7], [0, 0, 1, 2], [0, 0, 0, 1.0]])


def test_nibabel_reads_back_what_was_stored(tmp_path: Path) -> None:
    stored = np.arange(-30, 30, dtype=np.int16).reshape(3, 4, 5)
    (tmp_path / "a.nii.gz").write_bytes(nifti_bytes(stored, AFFINE, 1.5, 100.0))
    image = nibabel.load(tmp_path / "a.nii.gz")
    assert image.get_data_dtype() == np.int16
    np.testing.assert_allclose(image.get_fdata(), 1.5 * stored + 100)
    np.testing.assert_allclose(image.affine, AFFINE, atol=1e-6)


def test_quantising_is_off_by_half_a_step_at_most() -> None:
    image = np.random.default_rng(0).normal(size=(5, 5, 5)).astype(np.float32)
    assert abs(quantise(image, 0.01) * 0.01 - image).max() <= 0.00501
    assert quantise(np.array([1e9], np.float32), 0.01).item() == 32767


def test_a_folder_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "cohort"
    with new_folder(out) as folder:
        folder.write("sub/a.txt", b"hello")
        assert not out.exists()
    assert (out / "sub/a.txt").read_bytes() == b"hello"
    assert folder.hashes == {"sub/a.txt": hashlib.sha256(b"hello").hexdigest()}


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    def fail() -> None:
        with new_folder(tmp_path / "cohort") as folder:
            folder.write("a.txt", b"half")
            raise OSError("disk full")

    with pytest.raises(InputError, match=r"cannot be written \(disk full\)"):
        fail()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("cause", FULL)
def test_a_full_disk_is_no_fault_of_the_input(tmp_path: Path, cause: int) -> None:
    def fail() -> None:
        with new_folder(tmp_path / "cohort") as folder:
            folder.write("a.txt", b"half")
            raise OSError(cause, "no room")

    with pytest.raises(OSError, match="no room") as caught:
        fail()
    assert not isinstance(caught.value, InputError)
    assert caught.value.filename == str(tmp_path / "cohort")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    with new_folder(tmp_path) as folder:
        folder.write("a.txt", b"")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("taken", ["folder", "file"])
def test_a_place_that_is_taken_is_refused(tmp_path: Path, taken: str) -> None:
    out = tmp_path / "out"
    if taken == "folder":
        out.mkdir()
    (out / "precious" if taken == "folder" else out).write_text("keep me")
    with pytest.raises(InputError, match="must be new or an empty folder"), new_folder(out):
        pytest.fail("the block must not run")
    assert (out / "precious" if taken == "folder" else out).read_text() == "keep me"


def test_a_place_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(InputError, match=r"out: cannot be written \(.*file'\)"),
        new_folder(tmp_path / "file" / "out"),
    ):
        pytest.fail("the block must not run")
