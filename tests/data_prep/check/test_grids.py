from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from data_prep.check.findings import Finding
from data_prep.check.grids import difference, grid_findings
from data_prep.check.reading import inspect
from data_prep.geometry import Grid
from tests.data_prep.check.heads import AFFINE, save, write_heads


def said(folder: Path) -> list[Finding]:
    return list(grid_findings(inspect(folder)))


def replaced(folder: Path, name: str, shape: tuple[int, ...], affine: np.ndarray) -> list[Finding]:
    voxels = np.random.default_rng(0).random(shape).astype(np.float32)
    save(
        folder / "sub-1" / f"{name}.nii.gz",
        (voxels > 0.5).astype(np.uint8) if name == "tumor" else voxels,
        affine,
    )
    return said(folder)


def save_unplaced(path: Path) -> None:
    image = nib.load(path)
    image.header.set_sform(None, 0)
    image.header.set_qform(None, 0)
    bare = nib.Nifti1Image(np.asarray(image.dataobj), None, image.header)
    bare.header["sform_code"], bare.header["qform_code"] = 0, 0
    nib.save(bare, path)


def thick() -> np.ndarray:
    affine = AFFINE.copy()
    affine[2, 2] = 4.0
    return affine


def test_one_grid_is_sound(tmp_path: Path) -> None:
    assert said(write_heads(tmp_path / "cohort")) == []


def test_one_reference_is_advised_for_all_that_everybody_has_and_masks_share(tmp_path: Path) -> None:
    folder = write_heads(tmp_path / "cohort")
    fine = AFFINE @ np.diag([0.9, 0.9, 0.9, 1])
    voxels = np.random.default_rng(0).random((34, 34, 34)).astype(np.float32)
    for path in folder.glob("sub-*/T1.nii.gz"):  # a little finer, but masks lie on the others
        save(path, voxels, fine)
    for path in folder.glob("sub-*/T2.nii.gz"):  # thick slices
        save(path, voxels[:32, :32, :8], thick())
    findings = said(folder)
    assert len(findings) == 8
    assert {finding.advice for finding in findings} == {
        'Set resample_to = "FLAIR" under [input] of the study.'
    }
    (folder / "sub-2" / "FLAIR.nii.gz").unlink()
    assert {'resample_to = "T1"' in finding.advice for finding in said(folder)} == {True}


def test_a_single_slice_is_no_reference_and_has_advice_of_its_own(tmp_path: Path) -> None:
    (finding,) = replaced(write_heads(tmp_path / "cohort"), "T1", (32, 32, 1), AFFINE)
    assert "resample_to" not in finding.advice
    assert "single slice" in finding.advice


def test_a_mask_may_lie_on_the_grid_of_any_image(tmp_path: Path) -> None:
    folder = write_heads(tmp_path / "cohort")
    replaced(folder, "FLAIR", (32, 32, 8), thick())
    findings = replaced(folder, "tumor", (32, 32, 8), thick())
    assert [finding.where for finding in findings] == ["sub-1/FLAIR.nii.gz"]


@pytest.mark.parametrize("space", ["world", "voxel"])
def test_thick_slices_are_a_warning_that_names_resample_to(tmp_path: Path, space: str) -> None:
    (finding,) = replaced(write_heads(tmp_path / "cohort", space), "FLAIR", (32, 32, 8), thick())
    assert (finding.severity, finding.code, finding.where) == (
        "warning",
        "grid-differs",
        "sub-1/FLAIR.nii.gz",
    )
    assert (
        "shape (32, 32, 8) instead of (32, 32, 32), voxels of 1 x 1 x 4 mm instead of 1 x 1 x 1 mm"
        in finding.what
    )
    assert 'resample_to = "T1" under [input]' in finding.advice
    assert ("count its voxels" in finding.advice) == (space == "voxel")


def test_the_odd_one_is_named_even_where_it_comes_first(tmp_path: Path) -> None:
    (finding,) = replaced(write_heads(tmp_path / "cohort"), "T1", (32, 32, 8), thick())
    assert finding.where == "sub-1/T1.nii.gz"
    assert 'resample_to = "T2"' in finding.advice


def test_a_mask_on_another_grid_has_a_code_of_its_own(tmp_path: Path) -> None:
    (finding,) = replaced(write_heads(tmp_path / "cohort"), "tumor", (32, 32, 8), thick())
    assert (finding.severity, finding.code) == ("warning", "mask-grid-differs")


def test_files_that_lie_apart_are_an_error(tmp_path: Path) -> None:
    far = AFFINE.copy()
    far[0, 3] = 500
    (finding,) = replaced(write_heads(tmp_path / "cohort"), "T2", (32, 32, 32), far)
    assert (finding.severity, "its centre 5.1e+02 mm away" in finding.what) == ("error", True)


@pytest.mark.parametrize(("space", "times"), [("world", 0), ("voxel", 1)])
def test_another_storage_order_matters_to_voxel_indices_alone(tmp_path: Path, space: str, times: int) -> None:
    folder = write_heads(tmp_path / "cohort", space)
    path = folder / "sub-1" / "T2.nii.gz"
    nib.save(nib.load(path).as_reoriented(np.array([[0, -1], [1, -1], [2, 1]])), path)
    findings = said(folder)
    assert [finding.code for finding in findings] == ["grid-differs"] * times
    assert all("stored in the order LPS instead of RAS" in finding.what for finding in findings)


@pytest.mark.parametrize(("space", "files", "times"), [("world", 1, 1), ("voxel", 1, 1), ("voxel", 20, 0)])
def test_a_grid_that_lies_nowhere_is_told_where_it_matters(
    tmp_path: Path, space: str, files: int, times: int
) -> None:
    folder = write_heads(tmp_path / "cohort", space)
    for path in sorted(folder.glob("sub-*/*.nii.gz"))[:files]:
        save_unplaced(path)
    findings = said(folder)
    assert [(f.severity, f.code) for f in findings] == [("error", "grid-unplaced")] * times


def test_voxel_sizes_that_vary_between_participants_are_a_note(tmp_path: Path) -> None:
    folder = write_heads(tmp_path / "cohort")
    for path in folder.glob("sub-3/*.nii.gz"):
        save(path, np.asarray(nib.load(path).dataobj), np.diag([0.5, 0.5, 0.6, 1.0]))
    (finding,) = said(folder)
    assert (finding.severity, finding.code, finding.participant) == ("note", "spacing-varies", "sub-3")
    assert "1 x 1 x 1 mm in most participants and 0.5 x 0.5 x 0.6 mm in sub-3" in finding.what


@pytest.mark.parametrize("degrees", [0.5, 3.0, 20.0])
def test_a_turn_and_a_shift_are_measured(degrees: float) -> None:
    usual = Grid((20, 20, 20), np.eye(4))
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("z", degrees, degrees=True).as_matrix()
    middle = np.full(3, 9.5)
    affine[:3, 3] = middle - affine[:3, :3] @ middle + [0, 0, 2.5]
    said = difference(usual, Grid((20, 20, 20), affine))
    assert said == f"axes turned by {degrees:.2g} degrees, its centre 2.5 mm away"


def test_a_second_scan_on_a_grid_of_its_own_is_to_be_resampled(tmp_path: Path) -> None:
    folder = write_heads(tmp_path / "cohort")
    for name in ("T1", "T2", "FLAIR"):
        path = folder / "sub-1" / f"{name}.nii.gz"
        again = folder / "sub-1" / "again" / path.name
        again.parent.mkdir(exist_ok=True)
        save(again, np.asarray(nib.load(path).dataobj)[:, :, : 31 if name == "T2" else 32])
    toml = (folder / "cohort.toml").read_text()
    again_too = '[repeats]\nimages = "{participant_id}/again/{sequence}.nii.gz"\n'
    (folder / "cohort.toml").write_text(toml + again_too)
    (finding,) = said(folder)
    assert (finding.where, finding.advice) == ("sub-1/again/T2.nii.gz", "Resample the file to the others.")


def test_masks_say_nothing_new_where_the_images_are_anothers(tmp_path: Path) -> None:
    """That participants share images is told; that the masks of one do not fit them follows."""
    folder = write_heads(tmp_path / "cohort")
    for path in folder.glob("sub-[123]/*.nii.gz"):
        save(path, np.asarray(nib.load(path).dataobj)[:, :, :30])
    toml = (folder / "cohort.toml").read_text()
    (folder / "cohort.toml").write_text(toml.replace('images = "{participant_id}/', 'images = "sub-0/'))
    assert said(folder) == []
