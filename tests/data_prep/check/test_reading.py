from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from data_prep.check.reading import inspect
from data_prep.problems import InputError
from tests.data_prep.check.heads import AFFINE, FAULTS, SEQUENCES, cut, save, write_heads


@pytest.mark.parametrize("fault", FAULTS)
def test_a_file_that_cannot_be_read_says_why_and_the_others_are_read(tmp_path: Path, fault: str) -> None:
    folder = write_heads(tmp_path / "cohort")
    FAULTS[fault](folder / "sub-1" / "T2.nii.gz")
    visits = inspect(folder).visits
    bad = {(f.label, f.fault) for visited in visits for f in visited.files if f.problem is not None}
    assert bad == {("sub-1/T2.nii.gz", fault)}
    assert sum(f.digest is not None for visited in visits for f in visited.files) == 4 * 5 - 1


def test_an_uncompressed_file_without_its_end_is_truncated(tmp_path: Path) -> None:
    folder = write_heads(tmp_path / "cohort")
    toml = folder / "cohort.toml"
    toml.write_text(toml.read_text().replace("{sequence}.nii.gz", "{sequence}.nii"))
    for path in folder.glob("sub-*/*.nii.gz"):
        nib.save(nib.load(path), path.with_suffix(""))
    cut(folder / "sub-0" / "T1.nii")
    assert inspect(folder).visits[0].images["T1"].fault == "truncated"


def test_every_file_is_read_once_and_progress_ends_at_the_total(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    subject = inspect(write_heads(tmp_path / "cohort"), lambda done, total: told.append((done, total)))
    assert told == [(done, 24) for done in range(1, 25)]
    assert [visited.participant for visited in subject.visits] == ["sub-0", "sub-1", "sub-2", "sub-3"]
    assert set(subject.visits[0].images) == set(SEQUENCES)
    assert {f.kind for f in subject.visits[0].files} == {"image", "mask"}


def test_sound_rows_are_looked_at_beside_those_that_are_not(tmp_path: Path) -> None:
    folder = write_heads(tmp_path / "cohort")
    with (folder / "biopsies.tsv").open("a") as table:
        table.write("b99\tsub-0\tfar\t1\t1\n")
    subject = inspect(folder)
    assert len(subject.cohort.biopsies) == 12
    assert subject.problems == ("biopsies.tsv: row 14, column x: a number is needed, but got 'far'.",)


def test_repeats_are_read_where_there_are_any(tmp_path: Path) -> None:
    folder = write_heads(tmp_path / "cohort")
    with (folder / "cohort.toml").open("a") as file:
        file.write('[repeats]\nimages = "{participant_id}/again/{sequence}.nii.gz"\n')
    (folder / "sub-2" / "again").mkdir()
    save(folder / "sub-2" / "again" / "T1.nii.gz", np.ones((4, 4, 4), np.float32))
    found = [[*visited.repeats] for visited in inspect(folder).visits]
    assert found == [[], [], ["T1"], []]


def test_sform_and_qform_are_told_apart(tmp_path: Path) -> None:
    folder = write_heads(tmp_path / "cohort")
    image = nib.Nifti1Image(np.ones((4, 4, 4), np.float32), AFFINE)
    image.set_sform(AFFINE, 1)
    image.set_qform(None, 0)
    nib.save(image, folder / "sub-0" / "T1.nii.gz")
    file = inspect(folder).visits[0].images["T1"]
    assert file.qform is None
    assert file.sform is not None
    assert np.array_equal(file.sform, AFFINE)


def test_a_wrong_cohort_toml_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cohort.toml").write_text('name = "x"')
    with pytest.raises(InputError, match="images: the key is required"):
        inspect(tmp_path)
