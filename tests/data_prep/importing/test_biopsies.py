"""The table of biopsies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import openpyxl
import pytest

from data_prep.importing.biopsies import read_biopsies
from data_prep.importing.records import ImportOptions
from data_prep.problems import Problems

Options = Callable[..., ImportOptions]
WriteTable = Callable[..., str]
HEADER = ("biopsy", "patient", "x", "y", "z")


def test_csv_and_excel_give_the_same_rows(options: Options, write_table: WriteTable, tmp_path: Path) -> None:
    rows = [("Biopsy", "Patient", "X (mm)", "Y (mm)", "Z (mm)", "WHO grade"), ("b1", 7, -1.5, 2, 3.25, 4)]
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(tmp_path / "t.xlsx")
    paths = [write_table("t.csv", *rows), str(tmp_path / "t.xlsx")]
    tables = [read_biopsies(options(biopsies=path, convention="RAS"), Problems()) for path in paths]
    for table in tables:
        assert table is not None
        assert table.columns == ("biopsy_id", "participant_id", "x", "y", "z", "WHO grade")
        assert [tuple(row.values()) for row in table.rows.values()] == [("b1", "7", "-1.5", "2", "3.25", "4")]


def test_empty_rows_are_said_and_columns_can_be_left_out(options: Options, write_table: WriteTable) -> None:
    rows = ((*HEADER, "name", "sequence", "note"), ("b1", "p", 1, 2, 3, "N", "s", ""), ("",) * 8)
    path = write_table("t.csv", *rows, ("b2", "p", 1, 2, 3, "N", "s", "ok"))
    table = read_biopsies(options(biopsies=path, space="voxel", drop=("name",)), Problems())
    assert table is not None
    assert list(table.rows) == [2, 4]
    assert table.columns[-1] == "note"
    assert [row["note"] for row in table.rows.values()] == ["n/a", "ok"]
    assert [left.what for left in table.left_out] == [
        "t.csv: column name",
        "t.csv: column sequence",
        "t.csv: row 3",
    ]


def test_all_problems_are_said_at_once_with_the_users_rows(options: Options, write_table: WriteTable) -> None:
    path = write_table(
        "t.csv",
        HEADER,
        ("b1", "p", 1, 2, 3),
        ("b1", "q", 1, 2, 3),
        ("b3", "", 1, "a", 3),
        ("b4", "p", -1, 2, 3),
    )
    problems = Problems()
    read_biopsies(options(biopsies=path, space="voxel"), problems)
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - each line is matched below
        problems.raise_any()
    text = str(caught.value)
    for line in (
        "t.csv: row 3, column biopsy: must be unique, but got 'b1' as in row 2.",
        "--map 'biopsy_id={patient}-{biopsy}'",
        "t.csv: row 4, column patient: a value is needed",
        "t.csv: row 4, column y: a number is needed, but got 'a'",
        "t.csv: row 5, column x: an index from 0 is needed, but got -1",
    ):
        assert line in text


def test_ids_that_are_unique_in_a_participant_can_be_joined(
    options: Options, write_table: WriteTable
) -> None:
    path = write_table("t.csv", HEADER, ("1", "p", 1, 2, 3), ("1", "q", 1, 2, 3))
    flags = options(biopsies=path, space="voxel", columns=("biopsy_id={patient}-{biopsy}",))
    table = read_biopsies(flags, Problems())
    assert table is not None
    assert [row["biopsy_id"] for row in table.rows.values()] == ["p-1", "q-1"]
    assert table.columns[-1] == "biopsy"
