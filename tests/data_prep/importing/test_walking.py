"""Folders of images, and of other things."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from data_prep.importing.walking import walk
from data_prep.problems import InputError

WriteImages = Callable[..., Path]


def test_images_are_listed_wherever_they_lie(tmp_path: Path, write_images: WriteImages) -> None:
    write_images(tmp_path, ["b/T1.nii.gz", "a/x/T2.nii", ".hidden/T1.nii", "a/._T1.nii"])
    (tmp_path / "a" / "notes.txt").write_text("DICM")
    assert walk(tmp_path).images == ("a/x/T2.nii", "b/T1.nii.gz")


def test_links_to_folders_are_not_followed_and_named(tmp_path: Path, write_images: WriteImages) -> None:
    write_images(tmp_path, ["a/T1.nii"])
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    (tmp_path / "a" / "gone.nii").symlink_to(tmp_path / "nowhere")
    found = walk(tmp_path)
    assert found.images == ("a/T1.nii",)
    assert {left.what for left in found.left_out} == {"a/loop", "a/gone.nii"}


def test_what_bids_keeps_for_others_is_passed_by_in_bids_alone(
    tmp_path: Path, write_images: WriteImages
) -> None:
    write_images(tmp_path, ["sourcedata/T1.nii", "a/T1.nii"])
    assert len(walk(tmp_path).images) == 2
    (tmp_path / "dataset_description.json").write_text("{}")
    assert walk(tmp_path).images == ("a/T1.nii",)


@pytest.mark.parametrize(
    ("name", "content"), [("IM0001", bytes(128) + b"DICM"), ("a.dcm", b""), ("b.IMA", b""), ("DICOMDIR", b"")]
)
def test_dicom_is_answered_with_a_command(tmp_path: Path, name: str, content: bytes) -> None:
    source = tmp_path / "my scans"
    (source / "p1").mkdir(parents=True)
    (source / "p1" / name).write_bytes(content)
    with pytest.raises(InputError) as caught:
        walk(source)
    (line,) = caught.value.problems
    new = f"'{tmp_path.resolve()}/my scans-nifti'"
    assert line.endswith(f"mkdir -p {new} && dcm2niix -z y -d 9 -f %i_%t_%p -o {new} '{source.resolve()}'")


def test_nothing_and_no_folder_are_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"NIfTI files .* are needed, but there is none"):
        walk(tmp_path)
    with pytest.raises(InputError, match=r"a folder is needed"):
        walk(tmp_path / "gone")


def test_dicom_beside_images_is_left_out_and_said(tmp_path: Path, write_images: WriteImages) -> None:
    write_images(tmp_path, ["a/T1.nii"])
    (tmp_path / "raw.dcm").touch()
    assert "dcm2niix" in walk(tmp_path).left_out[0].why


def test_texts_do_not_use_up_the_look_for_dicom(tmp_path: Path) -> None:
    for number in range(200):
        (tmp_path / f"a{number:03}.json").touch()
    (tmp_path / "IM1").write_bytes(bytes(128) + b"DICM")
    with pytest.raises(InputError, match="it holds DICOM"):
        walk(tmp_path)
