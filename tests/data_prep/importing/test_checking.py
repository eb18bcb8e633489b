"""What is found out before anything is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from data_prep.importing.checking import check_drop, check_places, check_texts, refuse_alone
from data_prep.importing.people import People
from data_prep.importing.records import BiopsyTable, ImportOptions, Mapped
from data_prep.problems import Problems

Options = Callable[..., ImportOptions]
TOML = 'name = "c"\nimages = "{participant_id}/{sequence}.nii"\nsequences = ["T1"]\nbiopsies = "b.tsv"\n'
SPACE = '[coordinates]\nspace = "voxel"\n'


def raised(problems: Problems) -> str:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - callers look at the text
        problems.raise_any()
    return str(caught.value)


@pytest.mark.parametrize(
    ("out", "law"),
    [
        ("file/cohort", "must lie in a folder, but"),
        ("file/a/b", "must lie in a folder, but"),
        ("loop/cohort", "cannot be written"),
        ("x" * 300, "cannot be written"),
        ("source/cohort", "must lie outside of the source"),
        ("file", "must be new"),
    ],
)
def test_a_place_that_cannot_be_is_known_beforehand(
    options: Options, tmp_path: Path, out: str, law: str
) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    problems = Problems()
    check_places(options(out=tmp_path / out), problems)
    assert law in raised(problems)
    assert len(problems) == 1
    problems = Problems()
    check_places(options(out=tmp_path / "new" / "cohort"), problems)
    assert not len(problems)


def test_flags_of_expression_need_one(options: Options) -> None:
    problems = Problems()
    refuse_alone(options(duplicate_genes="sum", gene_column="id"), problems)
    assert [line.split(":")[0] for line in raised(problems).splitlines()] == [
        "--gene-column",
        "--duplicate-genes",
    ]


def test_dropped_columns_are_those_of_any_table(
    options: Options, table_of: Callable[..., BiopsyTable], write_table: Callable[..., str]
) -> None:
    flags = options(
        expression=write_table("e.csv", ("id", "RIN"), ("b", 1)), drop=("RIN", "note", "age", "nine")
    )
    problems = Problems()
    check_drop(flags, table_of(("b", "p", None), note=["x"]), People(known=("age",)), problems)
    text = raised(problems)
    assert text.startswith("--drop nine: unknown column")
    assert len(problems) == 1


def test_planned_texts_are_held_against_the_laws_of_a_cohort() -> None:
    texts = {"cohort.toml": TOML + SPACE, "b.tsv": "biopsy_id\tparticipant_id\tx\ty\tz\nb\tp\t1\t2\t3\n"}
    problems = Problems()
    check_texts(texts, ["p/T1.nii"], problems)
    assert not len(problems)
    check_texts(texts, [], problems)
    assert "p/T1.nii" in raised(problems)
    problems = Problems()
    check_texts(texts | {"b.tsv": "biopsy_id\n"}, ["p/T1.nii"], problems)
    assert "the column is required" in raised(problems)


def test_a_column_that_a_role_is_taken_from_cannot_be_dropped(
    options: Options, table_of: Callable[..., BiopsyTable]
) -> None:
    """But participants.tsv may have one of that name, which is not needed."""
    table = replace(table_of(("b", "p", None)), mapped=(Mapped("x", "x", "by its name"),))
    problems = Problems()
    check_drop(options(drop=("x",)), table, People(), problems)
    assert raised(problems) == "--drop x: the column is needed, as it is x. Remove it."
    problems = Problems()
    check_drop(options(drop=("x",)), table, People(known=("x",)), problems)
    assert not len(problems)
