from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from data_prep.check.reading import inspect
from data_prep.check.unreadable import file_findings
from tests.data_prep.check.heads import FAULTS, write_heads


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_has_a_code_and_advice_of_its_own(tmp_path: Path, fault: str) -> None:
    folder = write_heads(tmp_path / "cohort")
    FAULTS[fault](folder / "sub-1" / "T2.nii.gz")
    (finding,) = file_findings(inspect(folder))
    assert (finding.severity, finding.code, finding.where) == ("error", f"file-{fault}", "sub-1/T2.nii.gz")
    assert (finding.participant, finding.biopsies) == ("sub-1", ("b03", "b04", "b05"))
    assert finding.what.endswith(".")
    assert finding.advice


def test_sound_files_are_not_told(tmp_path: Path) -> None:
    assert list(file_findings(inspect(write_heads(tmp_path / "cohort")))) == []


@pytest.mark.parametrize(
    ("voxels", "code", "advice"),
    [
        (np.zeros((4, 4, 4, 3), np.float32), "file-unsuitable", "one volume of the series"),
        (np.zeros((4, 4, 4), np.complex64), "file-unsuitable", "magnitude"),
        (np.zeros((4, 4, 4), [("R", "u1"), ("G", "u1"), ("B", "u1")]), "file-unsuitable", "in colour"),
    ],
    ids=["4-D", "complex", "RGB"],
)
def test_what_is_no_volume_of_grey_values_has_advice_of_its_own(
    tmp_path: Path, voxels: np.ndarray, code: str, advice: str
) -> None:
    folder = write_heads(tmp_path / "cohort")
    nib.save(nib.Nifti1Image(voxels, np.eye(4)), folder / "sub-1" / "T2.nii.gz")
    (finding,) = file_findings(inspect(folder))
    assert finding.code == code
    assert advice in finding.advice


def test_a_file_that_may_not_be_read_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_heads(tmp_path / "cohort")
    really = Path.open

    def refused(path: Path, *args: Any, **kwargs: Any) -> Any:
        if path.match("sub-1/T2.nii.gz"):
            raise PermissionError(13, "Permission denied", str(path))
        return really(path, *args, **kwargs)

    monkeypatch.setattr(Path, "open", refused)
    (finding,) = file_findings(inspect(folder))
    assert (finding.code, "chmod" in finding.advice) == ("file-forbidden", True)
