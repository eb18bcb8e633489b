"""What an import will do."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from data_prep.importing.plan import make_plan
from data_prep.importing.records import ImportOptions
from data_prep.problems import InputError

Options = Callable[..., ImportOptions]
WriteImages = Callable[..., Path]
WriteTable = Callable[..., str]
SITES = (("biopsy", "patient", "x", "y", "z"), ("b1", "P1", 1, 2, 3), ("b2", "P2", 0, 1, 2))


@pytest.fixture
def source(tmp_path: Path, write_images: WriteImages) -> Path:
    labels = [f"P{number}/{name}.nii.gz" for number in (1, 2) for name in ("T1", "T2", "brain_mask")]
    return write_images(tmp_path / "source", labels)


def test_a_folder_a_table_and_expression_make_a_cohort(
    options: Options, source: Path, write_table: WriteTable
) -> None:
    expression = write_table("e.csv", ("gene", "b1"), ("CD3D", 1.25), ("GFAP", "NA"))
    (source / "participants.tsv").write_text("participant_id\tage\nP3\t1\nP2\t\nP1\t50\n")
    plan = make_plan(options(biopsies=write_table("t.csv", *SITES), space="voxel", expression=expression))
    assert plan.guessed
    assert (plan.biopsies, plan.participants, len(plan.images)) == (2, 2, 6)
    assert plan.texts["biopsies.tsv"].splitlines() == [
        "biopsy_id\tparticipant_id\tx\ty\tz",
        "b1\tP1\t1\t2\t3",
        "b2\tP2\t0\t1\t2",
    ]
    assert plan.texts["expression.tsv"].splitlines() == ["biopsy_id\tCD3D\tGFAP", "b1\t1.25\tn/a"]
    assert plan.texts["participants.tsv"].splitlines() == ["participant_id\tage", "P2\tn/a", "P1\t50"]
    assert tomllib.loads(plan.texts["cohort.toml"])["name"] == "out"
    assert "1 of 2 biopsies have no expression: b2" in plan.notes


def problems_of(flags: ImportOptions) -> tuple[str, ...]:
    with pytest.raises(InputError) as caught:
        make_plan(flags)
    return caught.value.problems


def test_all_problems_of_all_tables_are_said_at_once(
    options: Options, source: Path, write_table: WriteTable
) -> None:
    """Each table has problems of its own, and none hides those of another."""
    source.parent.joinpath("out").write_text("taken")
    rows = (*SITES[:2], ("b1", "P2", 1, "one", 2), ("b3", "", 1, 2, 3), ("b4", "P2", 1, 2))
    flags = options(
        biopsies=write_table("t.csv", *rows),
        columns=("x=Q",),
        patterns=("{x}",),
        name=" ",
        drop=("gone",),
        expression=write_table("e.csv", ("gene", "b1"), ("A", -1), ("B", "high")),
        gene_lengths=write_table("l.csv", ("id", "size"), ("A", 1)),
    )
    said = problems_of(flags)
    lines = (
        "--name: plain text",
        "out: must be new",
        "--pattern: unknown placeholder",
        "--map x=Q: unknown column 'Q'",
        "t.csv: row 3, column biopsy: must be unique",
        "t.csv: row 3, column y: a number is needed",
        "t.csv: row 4, column patient: a value is needed",
        "t.csv: row 5: 5 cells are needed",
        "e.csv: row 2, column b1: expression cannot be negative",
        "e.csv: row 3, column b1: a number is needed",
        "l.csv: row 1: a column 'length' is needed",
        "--drop gone: unknown column",
    )
    for line in lines:
        assert sum(line in problem for problem in said) == 1
    assert len(said) == len(lines)


def test_absent_tables_and_a_wrong_column_are_said_together(
    options: Options, source: Path, write_table: WriteTable
) -> None:
    flags = options(
        biopsies=write_table("t.csv", *SITES), columns=("x=Q",), expression="gone.csv", gene_lengths="far.csv"
    )
    said = problems_of(flags)
    for name in ("--map x=Q", "gone.csv: the file must be readable", "far.csv: the file must be readable"):
        assert any(name in problem for problem in said)


def test_unknown_sessions_and_bad_rows_are_said_together(
    options: Options, tmp_path: Path, write_images: WriteImages, write_table: WriteTable
) -> None:
    write_images(tmp_path / "source", ["P1/20190101/T1.nii", "P1/20200101/T1.nii"])
    sites = write_table("t.csv", SITES[0], ("b1", "P1", 1, 2, 3), ("b2", "P1", "one", 2, 3))
    told = ("{participant_id}/{session}/{sequence}",)
    said = problems_of(options(biopsies=sites, space="voxel", patterns=told))
    assert [problem.split(":")[1].strip() for problem in said] == [
        "row 3, column x",
        "row 2",
        "row 3",
    ]


def test_guessed_patterns_are_shown_with_every_failure(
    options: Options, source: Path, write_table: WriteTable
) -> None:
    for sites in (
        write_table("t.csv", *SITES, SITES[1]),
        write_table("t.csv", SITES[0], ("b", "X", 1, 2, 3)),
    ):
        assert problems_of(options(biopsies=sites, space="voxel"))[-1] == (
            "naming patterns: guessed from the names: {participant_id}/{sequence}. Where they are "
            "wrong, give --pattern."
        )


def test_what_a_reader_would_refuse_is_said_before_anything_is_written(
    options: Options, source: Path, write_table: WriteTable
) -> None:
    sites = write_table("t.csv", *SITES[:2], ("b2", "P9", 1, 2, 3))
    others = write_table("e.csv", ("gene", "b2"), ("CD3D", 1))
    with pytest.raises(InputError, match=r"some biopsy with images must have expression, .* are b2"):
        make_plan(options(biopsies=sites, space="voxel", expression=others))
    gene = write_table("f.csv", ("gene", "b1"), ("biopsy_id", 1))
    with pytest.raises(InputError, match="a gene's name is needed, but got 'biopsy_id'"):
        make_plan(options(biopsies=sites, space="voxel", expression=gene))
    large = write_table("g.csv", ("gene", "b1"), ("CD3D", "1e16"))
    with pytest.raises(InputError, match=r"expression cannot exceed 1e\+15"):
        make_plan(options(biopsies=sites, space="voxel", expression=large))


def test_columns_are_dropped_from_any_table_and_personal_ones_do_not_go_along(
    options: Options, source: Path, write_table: WriteTable
) -> None:
    (source / "participants.tsv").write_text(
        "participant_id\tage\tsite\tname\tBirth Date\nP1\t50\tA\tX\t1950-01-01\n"
    )
    expression = write_table("e.csv", ("id", "CD3D", "RIN"), ("b1", 1, 8.5))
    rows = [(*SITES[0], "Surname", "grade"), (*SITES[1], "Y", 4)]
    plan = make_plan(
        options(
            biopsies=write_table("t.csv", *rows),
            space="voxel",
            expression=expression,
            drop=("RIN", "site", "grade"),
        )
    )
    assert plan.texts["participants.tsv"] == "participant_id\tage\nP1\t50\n"
    assert plan.texts["expression.tsv"] == "biopsy_id\tCD3D\nb1\t1\n"
    assert plan.texts["biopsies.tsv"].splitlines()[0].endswith("z\tSurname")
    assert "participants.tsv goes along with its columns age" in plan.notes
    assert any("t.csv: column Surname goes along" in warning for warning in plan.warnings)
    left = {left.what for left in plan.left_out}
    assert {f"participants.tsv: column {name}" for name in ("site", "name", "Birth Date")} <= left


def test_a_participant_of_the_repeat_alone_is_left_out(
    options: Options, tmp_path: Path, write_images: WriteImages, write_table: WriteTable
) -> None:
    write_images(tmp_path / "source", ["P1/s1/T1.nii", "P1/s2/T1.nii", "P2/s2/T1.nii"])
    told = ("{participant_id}/{session}/{sequence}",)
    sites = write_table("t.csv", *SITES)
    plan = make_plan(options(biopsies=sites, space="voxel", patterns=told, repeats="s2"))
    assert (plan.biopsies, plan.participants) == (1, 1)
    assert "P2 has images of the repeat s2 alone" in [left.why for left in plan.left_out]


def test_unreadable_images_are_left_out_and_said(
    options: Options, source: Path, write_table: WriteTable, write_images: WriteImages
) -> None:
    (source / "P1" / "T1.nii.gz").write_bytes(b"")
    write_images(source, ["P2/T2.nii.gz"], shape=(4, 4, 4, 6))
    plan = make_plan(options(biopsies=write_table("t.csv", *SITES), space="voxel"))
    reasons = {left.what: left.why for left in plan.left_out}
    assert "it is empty" in reasons["P1/T1.nii.gz"]
    assert "a volume has three dimensions" in reasons["P2/T2.nii.gz"]
    assert "2 images cannot be read and are left out" in plan.warnings


def test_no_biopsy_with_an_image_is_a_problem_with_examples(
    options: Options, source: Path, write_table: WriteTable
) -> None:
    with pytest.raises(
        InputError, match=r"must have images, .*participant 'X' has no .* are X, .* are P1, P2, "
    ):
        make_plan(options(biopsies=write_table("t.csv", SITES[0], ("b1", "X", 1, 2, 3)), space="voxel"))


def test_sites_outside_their_images_are_warned_of(
    options: Options, source: Path, write_table: WriteTable
) -> None:
    sites = write_table("t.csv", *SITES[:2], ("b2", "P2", 9, 1, 2))
    (warning,) = make_plan(options(biopsies=sites, space="voxel")).warnings
    assert "1 of 2 sites lie outside their images as voxel indices (rows: 3)" in warning


def test_the_source_is_no_place_for_the_cohort(
    options: Options, source: Path, write_table: WriteTable
) -> None:
    with pytest.raises(InputError, match="must lie outside of the source"):
        make_plan(options(biopsies=write_table("t.csv", *SITES), space="voxel", out=source / "cohort"))


def test_sessions_stand_behind_the_participant(
    options: Options, tmp_path: Path, write_images: WriteImages, write_table: WriteTable
) -> None:
    write_images(tmp_path / "source", ["P1/s1/T1.nii", "P2/s2/T1.nii"])
    told = ("{participant_id}/{session}/{sequence}",)
    rows = [(*SITES[0], "grade"), (*SITES[1], 2), (*SITES[2], 4)]
    plan = make_plan(options(biopsies=write_table("t.csv", *rows), space="voxel", patterns=told))
    assert plan.texts["biopsies.tsv"].splitlines() == [
        "biopsy_id\tparticipant_id\tsession\tx\ty\tz\tgrade",
        "b1\tP1\ts1\t1\t2\t3\t2",
        "b2\tP2\ts2\t0\t1\t2\t4",
    ]


def test_a_link_that_leads_out_of_the_source_is_warned_of(
    options: Options, source: Path, tmp_path: Path, write_table: WriteTable
) -> None:
    far = (source / "P1" / "T1.nii.gz").rename(tmp_path / "far.nii.gz")
    (source / "P1" / "T1.nii.gz").symlink_to(far)
    (warning,) = make_plan(options(biopsies=write_table("t.csv", *SITES), space="voxel")).warnings
    assert warning.startswith("1 images are links that lead out of")
    assert "P1/T1.nii.gz to " in warning
