from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from data_prep.check.forms import corners_apart, form_findings
from data_prep.check.reading import inspect
from tests.data_prep.check.heads import AFFINE, SIZE, write_heads


def with_forms(path: Path, sform: np.ndarray | None, qform: np.ndarray | None) -> None:
    image = nib.Nifti1Image(np.asarray(nib.load(path).dataobj), sform if sform is not None else qform)
    image.set_sform(sform, 1 if sform is not None else 0)
    image.set_qform(qform, 1 if qform is not None else 0)
    nib.save(image, path)


def shifted(mm: float) -> np.ndarray:
    affine = AFFINE.copy()
    affine[1, 3] += mm
    return affine


@pytest.mark.parametrize(
    ("sform", "qform", "told"),
    [
        (AFFINE, AFFINE, []),
        (AFFINE, shifted(0.05), []),
        (AFFINE, shifted(0.3), [("note", "qform-sform")]),
        (AFFINE, shifted(3.0), [("warning", "qform-sform")]),
        (AFFINE, None, []),
        (None, AFFINE, []),
    ],
)
def test_two_answers_are_told_by_how_far_they_are_apart(
    tmp_path: Path, sform: np.ndarray | None, qform: np.ndarray | None, told: list[tuple[str, str]]
) -> None:
    folder = write_heads(tmp_path / "cohort")
    with_forms(folder / "sub-1" / "T2.nii.gz", sform, qform)
    findings = list(form_findings(inspect(folder)))
    assert [(finding.severity, finding.code) for finding in findings] == told
    assert all(finding.where == "sub-1/T2.nii.gz" for finding in findings)


def test_the_distance_is_the_largest_of_the_corners(tmp_path: Path) -> None:
    folder = write_heads(tmp_path / "cohort")
    turned = AFFINE.copy()
    turned[:3, :3] = Rotation.from_euler("z", 10, degrees=True).as_matrix()
    with_forms(folder / "sub-0" / "T1.nii.gz", AFFINE, turned)
    file = inspect(folder).visits[0].images["T1"]
    chord = 2 * np.sin(np.radians(5)) * np.hypot(SIZE - 1, SIZE - 1)  # about the first voxel
    assert corners_apart(file) == pytest.approx(chord, abs=0.01)
