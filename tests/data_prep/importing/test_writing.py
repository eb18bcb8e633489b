"""A cohort that appears whole or not at all."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from data_prep.cohort import read_cohort
from data_prep.importing.plan import make_plan
from data_prep.importing.records import ImportOptions, ImportPlan
from data_prep.importing.writing import write_plan
from data_prep.problems import InputError

MakePlan = Callable[..., ImportPlan]


def listing(folder: Path) -> dict[str, bytes | None]:
    files = sorted(folder.rglob("*"))
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in files}


@pytest.fixture
def planned(
    tmp_path: Path,
    write_images: Callable[..., Path],
    write_table: Callable[..., str],
    options: Callable[..., ImportOptions],
) -> MakePlan:
    def make(*labels: str, **flags: object) -> ImportPlan:
        write_images(tmp_path / "source", labels or ("P1/T1.nii.gz", "P1/T2.nii.gz"))
        sites = write_table("t.csv", ("biopsy", "patient", "x", "y", "z"), ("b1", "P1", 1, 2, 3))
        return make_plan(options(biopsies=sites, space="voxel", **flags))

    return make


def test_what_is_written_is_what_was_planned(planned: MakePlan, tmp_path: Path) -> None:
    plan = planned()
    before = listing(tmp_path / "source")
    write_plan(plan)
    written = {name: content for name, content in listing(plan.out).items() if content is not None}
    expected = {name: text.encode() for name, text in plan.texts.items()}
    assert written == expected | {image.target: image.source.read_bytes() for image in plan.images}
    assert listing(tmp_path / "source") == before
    assert read_cohort(plan.out).sequences == ("T1", "T2")


def test_links_lead_to_the_source_and_are_followed(planned: MakePlan, tmp_path: Path) -> None:
    plan = planned(link="symlink")
    write_plan(plan)
    link = plan.out / "P1" / "T1.nii.gz"
    assert link.readlink() == (tmp_path / "source/P1/T1.nii.gz").resolve()
    assert read_cohort(plan.out).file.follow_links


def test_mixed_suffixes_become_one_and_the_same_bytes_each_time(planned: MakePlan) -> None:
    plan = planned("P1/T1.nii", "P1/T2.nii.gz")
    write_plan(plan)
    packed = (plan.out / "P1/T1.nii.gz").read_bytes()
    assert gzip.decompress(packed) == plan.images[0].source.read_bytes()
    assert packed[4:8] == bytes(4)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, OSError(28, "No space left on device")])
def test_nothing_is_left_of_an_import_that_ends_early(
    planned: MakePlan, tmp_path: Path, error: BaseException
) -> None:
    plan = planned()
    before = listing(tmp_path)

    def progress(done: int, total: int) -> None:
        if done == total:
            raise error

    with pytest.raises((KeyboardInterrupt, SystemExit, OSError)):
        write_plan(plan, progress)
    assert listing(tmp_path) == before


def test_a_source_that_changed_or_tables_that_are_unsound_leave_nothing(
    planned: MakePlan, tmp_path: Path
) -> None:
    plan = planned()
    unsound = dict(plan.texts, **{"biopsies.tsv": "biopsy_id\n"})
    before = listing(tmp_path)
    with pytest.raises(InputError, match="the column is required"):
        write_plan(ImportPlan(**{**vars(plan), "texts": unsound}))
    assert listing(tmp_path) == before
    plan.images[0].source.unlink()
    with pytest.raises(InputError, match="cannot be written"):
        write_plan(plan)
    assert not plan.out.exists()
