from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from data_prep.check.unlisted import unlisted
from data_prep.cohort_file import CohortFile
from data_prep.records import Biopsy
from tests.data_prep.check.subjects import cohort


def found(root: Path, template: str, files: list[str], **columns: str) -> dict[str, list[str]]:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(b"x")
    row = Biopsy("b1", "sub-1", (0, 0, 0), 2, {"biopsy_id": "b1", "participant_id": "sub-1", **columns})
    images = unlisted(cohort([row], root=root, images=template))
    return {name: [str(path.relative_to(root)) for path in paths] for name, paths in images.items()}


@pytest.mark.parametrize(
    ("template", "files"),
    [
        ("{participant_id}/{sequence}.nii.gz", ["sub-2/T1.nii.gz", "sub-2/T2.nii.gz"]),
        ("{participant_id}/{session}/{sequence}.nii.gz", ["sub-2/ses-9/T1.nii.gz"]),
        ("raw/{sequence}/{participant_id}.nii", ["raw/T2/sub-2.nii"]),
        (
            "{participant_id}/{session}/anat/{participant_id}_{session}_{sequence}.nii.gz",
            ["sub-2/ses-1/anat/sub-2_ses-1_T1.nii.gz"],
        ),
        ("{participant_id}_{session}_{sequence}.nii.gz", ["sub-2_ses-1_T1.nii.gz"]),
        ("../scans[1]/{participant_id}-{sequence}.nii.gz", ["../scans[1]/sub-2-T1.nii.gz"]),
    ],
)
def test_images_of_somebody_without_biopsies(tmp_path: Path, template: str, files: list[str]) -> None:
    (tmp_path / "cohort").mkdir()
    mine = template.format(participant_id="sub-1", session="ses-1", sequence="T1")
    seen = unlisted_names(found(tmp_path / "cohort", template, [*files, mine], session="ses-1"))
    assert seen == {"sub-2": len(files)}


def unlisted_names(images: dict[str, list[str]]) -> dict[str, int]:
    return {name: len(paths) for name, paths in images.items()}


@pytest.mark.parametrize(
    "file",
    ["sub-1/T1.nii.gz", "sub-2/DWI.nii.gz", "sub-2/T1.nii", "sub-2/deep/T1.nii.gz", "truth/fields/T1.nii.gz"],
)
def test_what_is_listed_or_lies_elsewhere_is_not_told(tmp_path: Path, file: str) -> None:
    assert found(tmp_path, "{participant_id}/{sequence}.nii.gz", [file]) == {}


def test_another_column_may_name_the_files(tmp_path: Path) -> None:
    files = ["scan-7/T1.nii.gz", "scan-8/T1.nii.gz"]
    assert set(found(tmp_path, "{scan}/{sequence}.nii.gz", files, scan="scan-7")) == {"scan-8"}


def test_second_scans_belong_to_somebody(tmp_path: Path) -> None:
    (tmp_path / "sub-1" / "ses-2").mkdir(parents=True)
    (tmp_path / "sub-1" / "ses-2" / "T1.nii.gz").write_bytes(b"x")
    columns = {"biopsy_id": "b1", "participant_id": "sub-1", "session": "ses-1"}
    plain = cohort([Biopsy("b1", "sub-1", (0, 0, 0), 2, columns)], root=tmp_path)
    # The owner is told by the session, as no path names the participant.
    file = plain.file.model_copy(update={"images": "sub-1/{session}/{sequence}.nii.gz"})
    assert set(unlisted(replace(plain, file=file))) == {"ses-2"}
    again = CohortFile.model_validate(
        file.model_dump() | {"repeats": {"images": "{participant_id}/ses-2/{sequence}.nii.gz"}}
    )
    assert unlisted(replace(plain, file=again)) == {}


def test_one_image_for_all_has_no_owner(tmp_path: Path) -> None:
    assert found(tmp_path, "{sequence}.nii.gz", ["T1.nii.gz"]) == {}


def test_a_link_out_of_the_cohort_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "cohort" / "sub-2").mkdir(parents=True)
    (tmp_path / "T1.nii.gz").write_bytes(b"x")
    (tmp_path / "cohort" / "sub-2" / "T1.nii.gz").symlink_to(tmp_path / "T1.nii.gz")
    assert found(tmp_path / "cohort", "{participant_id}/{sequence}.nii.gz", []) == {}
