from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from data_prep.check.grids import grid_findings
from data_prep.check.reading import inspect
from data_prep.check.sharing import owners, sharing_findings
from data_prep.check.subject import Subject
from tests.data_prep.check.heads import write_heads
from tests.data_prep.check.subjects import biopsy, cohort, noise, visit


def test_a_file_of_two_participants() -> None:
    both = [biopsy("b1", "sub-1", (1, 1, 1), 2), biopsy("b2", "sub-2", (1, 1, 1), 3)]
    subject = Subject(cohort(both, ("T1",)), (), (visit(both, {"T1": noise(1)}),))
    (finding,) = sharing_findings(subject)
    assert (finding.code, finding.biopsies) == ("file-shared", ("b1", "b2"))
    assert owners(subject) == {"sub-1/T1.nii.gz": ("sub-1", "sub-2")}


def test_images_are_shared_though_masks_are_not(tmp_path: Path) -> None:
    """Masks lie elsewhere than the one participant's images, which says nothing new."""
    folder = write_heads(tmp_path / "cohort")
    toml = (folder / "cohort.toml").read_text()
    (folder / "cohort.toml").write_text(toml.replace('images = "{participant_id}/', 'images = "sub-0/'))
    subject = inspect(folder)
    assert len(subject.visits) == 4
    (finding,) = sharing_findings(subject)
    assert finding.where == "sub-0/T1.nii.gz"
    assert "sub-0, sub-1, sub-2, sub-3 share it" in finding.what
    assert "sub-0/T2.nii.gz" in finding.what
    assert len(finding.biopsies) == 12
    assert list(grid_findings(subject)) == []


def test_one_mask_for_all_is_no_fault() -> None:
    rows = [biopsy(f"b{n}", f"sub-{n}", (1, 1, 1), n + 2) for n in range(2)]
    seen = [visit([row], {"T1": noise(n)}) for n, row in enumerate(rows)]
    mask = seen[0].images["T1"]
    visits = tuple(replace(each, masks={"brain": mask}) for each in seen)
    assert list(sharing_findings(Subject(cohort(rows, ("T1",)), (), visits))) == []
