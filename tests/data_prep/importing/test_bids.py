"""BIDS datasets with derivatives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from data_prep.importing.bids import is_bids, parse, read_bids
from data_prep.importing.records import Catalogue, ImportOptions
from data_prep.importing.walking import walk
from data_prep.problems import Problems

Options = Callable[..., ImportOptions]
Read = Callable[..., tuple[Catalogue, Problems]]

ORDINARY = (
    "sub-01/ses-a/anat/sub-01_ses-a_T1w.nii.gz",
    "sub-01/ses-a/anat/sub-01_ses-a_ce-gd_T1w.nii.gz",
    "sub-01/ses-a/dwi/sub-01_ses-a_dwi.nii.gz",
    "derivatives/prep/sub-01/ses-a/anat/sub-01_ses-a_desc-brain_mask.nii.gz",
    "derivatives/prep/sub-01/ses-a/dwi/sub-01_ses-a_model-tensor_param-fa_dwimap.nii.gz",
    "derivatives/prep/sub-01/ses-a/perf/sub-01_ses-a_desc-rCBV_perf.nii",
)


@pytest.fixture
def read(tmp_path: Path, write_images: Callable[..., Path], options: Options) -> Read:
    def run(labels: tuple[str, ...], **flags: object) -> tuple[Catalogue, Problems]:
        source = write_images(tmp_path / "sub-x" / "ses-y" / "ds", labels)
        problems = Problems()
        return read_bids(options(source=source, **flags), walk(source), problems), problems

    return run


def names(catalogue: Catalogue) -> dict[str, str]:
    return {file.label: file.name for file in catalogue.files}


def test_an_ordinary_dataset_needs_no_rule_wherever_it_lies(read: Read) -> None:
    catalogue, problems = read(ORDINARY)
    assert not len(problems)
    found = {(f.name, f.participant, f.session, f.mask) for f in catalogue.files}
    assert found == {
        *((name, "sub-01", "ses-a", False) for name in ("T1", "T1Gd", "FA", "rCBV")),
        ("brain", "sub-01", "ses-a", True),
    }
    assert [(left.what, left.why) for left in catalogue.left_out] == [(ORDINARY[2], "no rule for it")]
    assert not catalogue.guessed


def test_a_dataset_is_told_by_its_description_or_by_all_its_names(tmp_path: Path) -> None:
    assert is_bids(tmp_path, ORDINARY)
    assert not is_bids(tmp_path, [*ORDINARY, "sub-01/T1.nii.gz"])
    (tmp_path / "dataset_description.json").write_text("{}")
    assert is_bids(tmp_path, ["sub-01/T1.nii.gz"])


def test_runs_and_echoes_are_a_problem_that_names_both(read: Read) -> None:
    runs = tuple(f"sub-01/anat/sub-01_run-{run}_T2w.nii.gz" for run in (1, 2))
    catalogue, problems = read(runs)
    with pytest.raises(ValueError, match=f"{runs[1]}: T2 of sub-01 must be one file, but {runs[0]}"):
        problems.raise_any()
    catalogue, problems = read(runs, only="run:2")
    assert not len(problems)
    assert names(catalogue) == {runs[1]: "T2"}


def test_images_moved_into_one_space_are_taken_and_never_a_templates(read: Read) -> None:
    raw, moved, template, reference = (
        "sub-01/anat/sub-01_T2w.nii.gz",
        "derivatives/p/sub-01/anat/sub-01_space-T1Gd_desc-preproc_T2w.nii.gz",
        "derivatives/p/sub-01/anat/sub-01_space-MNI152NLin2009cAsym_desc-preproc_T2w.nii.gz",
        "sub-01/anat/sub-01_ce-gd_T1w.nii.gz",
    )
    catalogue, problems = read((raw, moved, template, reference))
    assert not len(problems)
    assert names(catalogue) == {moved: "T2", reference: "T1Gd"}
    assert {left.what for left in catalogue.left_out} == {raw, template}
    assert any("T2: taken from space T1Gd" in note for note in catalogue.notes)
    other = "derivatives/p/sub-01/anat/sub-01_space-FLAIR_T2w.nii.gz"
    _, problems = read((raw, moved, other))
    with pytest.raises(ValueError, match="one space is needed, but images are in FLAIR, T1Gd"):
        problems.raise_any()
    catalogue, problems = read((raw, moved, other), only="space:flair")
    assert not len(problems)
    assert names(catalogue)[other] == "T2"


def test_only_settles_versions_and_leaves_what_has_none(read: Read) -> None:
    raw, done, brain = (
        "sub-01/anat/sub-01_T1w.nii.gz",
        "derivatives/p/sub-01/anat/sub-01_desc-preproc_T1w.nii.gz",
        "derivatives/p/sub-01/anat/sub-01_desc-brain_mask.nii.gz",
    )
    flair = "sub-01/anat/sub-01_FLAIR.nii.gz"
    _, problems = read((raw, done, brain, flair))
    assert len(problems) == 1
    catalogue, problems = read((raw, done, brain, flair), only="desc:preproc")
    assert not len(problems)
    assert names(catalogue) == {done: "T1", brain: "brain", flair: "FLAIR"}


def test_own_rules_replace_the_defaults_in_their_order(read: Read) -> None:
    rules = ("contrast=suffix:T1w,ce:gd", "FA=suffix:dwimap", "other=suffix:nothing")
    catalogue, _ = read(ORDINARY, sequences=rules)
    assert catalogue.order == ("contrast", "FA", "other")
    assert sorted(f.name for f in catalogue.files if not f.mask) == ["FA", "contrast"]


def test_entities_are_those_of_the_name_alone(tmp_path: Path) -> None:
    (image,) = parse(tmp_path / "sub-99" / "ses-9", ["sub-01/anat/sub-01_acq-3d_run-02_T1w.nii.gz"])
    wanted = {"subject": "01", "acquisition": "3d", "run": "02", "suffix": "T1w"}
    assert {name: image.entities[name] for name in wanted} == wanted
    assert "session" not in image.entities


@pytest.mark.parametrize("space", ["MNI152NLin6Asym", "mni152", "standard", "sri24"])
def test_an_unknown_space_is_never_taken_unasked_and_is_said(read: Read, space: str) -> None:
    raw, moved = "sub-01/anat/sub-01_T1w.nii.gz", f"derivatives/p/sub-01/anat/sub-01_space-{space}_T1w.nii.gz"
    catalogue, problems = read((raw, moved))
    assert not len(problems)
    assert names(catalogue) == {raw: "T1"}
    (left,) = catalogue.left_out
    assert (left.what, f"--only space:{space} takes it" in left.why) == (moved, True)
    catalogue, _ = read((raw, moved), only=f"space:{space}")
    assert names(catalogue) == {moved: "T1"}


def test_a_sequence_of_which_nothing_is_left_is_warned_of(read: Read) -> None:
    moved = "derivatives/p/sub-01/anat/sub-01_space-standard_T1w.nii.gz"
    catalogue, _ = read((moved,))
    assert catalogue.files == ()
    assert f"T1: all its images are left out, such as {moved}: space standard" in catalogue.warnings[0]


def test_a_rule_that_names_the_space_gets_it(read: Read) -> None:
    raw, moved, other = (
        "sub-01/anat/sub-01_T1w.nii.gz",
        "derivatives/p/sub-01/anat/sub-01_space-MNI152NLin6Asym_T1w.nii.gz",
        "derivatives/p/sub-01/anat/sub-01_space-MNI152NLin6Asym_T2w.nii.gz",
    )
    rules = ("T1=suffix:T1w,ce:none,space:MNI152NLin6Asym", "T2=suffix:T2w")
    catalogue, problems = read((raw, moved, other), sequences=rules)
    assert not len(problems)
    assert names(catalogue) == {moved: "T1"}
    assert {left.what for left in catalogue.left_out} == {raw, other}


@pytest.mark.parametrize(("asked", "index"), [("1", "01"), ("01", "1"), ("2", "002")])
def test_indices_are_numbers(read: Read, asked: str, index: str) -> None:
    label = f"sub-01/anat/sub-01_run-{index}_T1w.nii.gz"
    catalogue, problems = read((label,), only=f"run:{asked}")
    assert not len(problems)
    assert names(catalogue) == {label: "T1"}
    assert catalogue.warnings == ()


def test_what_matches_nothing_is_warned_of(read: Read) -> None:
    catalogue, problems = read(
        ("sub-01/anat/sub-01_run-1_T1w.nii.gz",), only="run:3", sequences=("T1=suffix:T1w", "T9=suffix:T9w")
    )
    assert not len(problems)
    assert len(catalogue.warnings) == 3
    for start in ("T9: no image fits its rule", "--only run:3: no image has that", "T1: all its images are"):
        assert any(warning.startswith(start) for warning in catalogue.warnings)


def test_unknown_entities_are_problems_with_a_hint(read: Read) -> None:
    flags = {"sequences": ("T1=sufix:T1w",), "masks": ("brain=foo:bar",), "only": "descr:preproc,ses:any"}
    _, problems = read(ORDINARY, **flags)
    with pytest.raises(
        ValueError,
        match=r"(?s)--sequence T1=sufix:T1w: unknown entity 'sufix'; did you mean 'suffix'.*"
        r"--mask brain=foo:bar: unknown entity 'foo'.*--only: unknown entity 'descr'; did you mean 'desc'",
    ):
        problems.raise_any()
    assert len(problems) == 3
