"""Tables in all ways in which they come."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from data_prep.importing.sheets import cell_of, locate, read_sheet
from data_prep.problems import Problems

WriteTable = Callable[..., str]


@pytest.mark.parametrize(("name", "mark"), [("t.csv", ","), ("t.csv", ";"), ("t.csv", "\t"), ("t.tsv", "\t")])
def test_the_separator_is_found(write_table: WriteTable, name: str, mark: str) -> None:
    problems = Problems()
    sheet = read_sheet(write_table(name, ("id", "x"), ("a", "1"), ("b", "2"), mark=mark), problems)
    assert sheet is not None
    assert not len(problems)
    assert sheet.columns == ("id", "x")
    assert [(row.number, row.cells) for row in sheet.rows] == [(2, ("a", "1")), (3, ("b", "2"))]
    assert sheet.semicolons == (mark == ";")


def test_rows_are_numbered_as_a_spreadsheet_shows_them(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('\nid,note\na,"two\nlines"\n,\n\nb,\n')
    sheet = read_sheet(str(tmp_path / "t.csv"), Problems())
    assert sheet is not None
    assert sheet.header == 2
    assert [(row.number, row.cells) for row in sheet.rows] == [(3, ("a", "two lines")), (6, ("b", ""))]
    assert sheet.empty == (4, 5)


@pytest.mark.parametrize("mark", ["\t", ";"])
def test_row_names_of_r_have_no_name_of_their_own(write_table: WriteTable, mark: str) -> None:
    path = write_table("t.csv", ("s1", "s2"), ("CD3D", 1, 2), ("GFAP", 3, 4), mark=mark)
    sheet = read_sheet(path, Problems(), row_names=True)
    assert sheet is not None
    assert sheet.columns == ("column 1", "s1", "s2")


@pytest.mark.parametrize(("mark", "row_names"), [(",", True), (",", False), (";", False), ("\t", False)])
def test_no_cell_is_without_a_title_unless_it_is_empty(
    write_table: WriteTable, mark: str, row_names: bool
) -> None:
    rows = (("id", "x", "y"), ("b1", "1", "5", "2"), ("b2", "3", "7", "1"))
    problems = Problems()
    read_sheet(write_table("t.csv", *rows, mark=mark), problems, row_names)
    with pytest.raises(
        ValueError, match=r"(?s)t.csv: row 2: 3 cells are needed, but got 4\. Is.*row 3: 3 cells"
    ):
        problems.raise_any()
    problems = Problems()
    rows = (("id", "x", "y"), ("b1", 1, 2, ""), ("b2", 1, 2), ("b3", 1, "", "", ""))
    sheet = read_sheet(write_table("t.csv", *rows, mark=mark), problems, row_names)
    assert sheet is not None
    assert not len(problems)
    assert [row.cells for row in sheet.rows] == [("b1", "1", "2"), ("b2", "1", "2"), ("b3", "1", "")]


def test_many_ragged_rows_are_counted(write_table: WriteTable) -> None:
    problems = Problems()
    read_sheet(write_table("t.csv", ("a", "b"), *[("1", "2", "3")] * 50), problems)
    assert len(problems) == 21
    with pytest.raises(ValueError, match="30 more rows do not have 2 cells"):
        problems.raise_any()


def test_remarks_above_the_header_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "f.txt").write_text('# Program:featureCounts; Command:"a, b"\nGeneid\tb1\nA\t1\n')
    (tmp_path / "h.tsv").write_text("#gene\tb1\nA\t1\n")
    sheets = [read_sheet(str(tmp_path / name), Problems()) for name in ("f.txt", "h.tsv")]
    assert [(s.header, s.columns, s.rows[0].number) for s in sheets if s] == [
        (2, ("Geneid", "b1"), 3),
        (1, ("#gene", "b1"), 2),
    ]


def test_the_header_may_be_told(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("Sites of 2019; all\n\nid,x\nb,1\n")
    sheet = read_sheet(str(tmp_path / "t.csv"), Problems(), header=3)
    assert sheet is not None
    assert (sheet.header, sheet.columns, sheet.rows[0].number) == (3, ("id", "x"), 4)
    problems = Problems()
    assert read_sheet(str(tmp_path / "t.csv"), problems, header=2) is None
    with pytest.raises(ValueError, match="row 2 by --header-row, but that row is empty"):
        problems.raise_any()


def test_what_cannot_be_read_is_a_problem_with_what_to_do(tmp_path: Path, write_table: WriteTable) -> None:
    problems = Problems()
    (tmp_path / "latin.csv").write_bytes(b"id,x\nJ\xfcrgen,1\n")
    (tmp_path / "empty.csv").write_text("")
    for name in ("latin.csv", "empty.csv", "gone.csv", "old.xls"):
        assert read_sheet(str(tmp_path / name), problems) is None
    assert read_sheet(write_table("ragged.csv", ("a", "b", "c"), (1, 2), (1, 2, 3)), problems) is not None
    with pytest.raises(
        ValueError, match=r"(?s)CSV UTF-8.*header row.*readable.*Save it as .xlsx.*row 2: 3 cells"
    ):
        problems.raise_any()


def test_a_sheet_is_named_behind_a_colon_unless_the_colon_is_the_files(tmp_path: Path) -> None:
    assert locate("a/b.xlsx:Sites") == (Path("a/b.xlsx"), "Sites")
    assert locate("a/b.csv:Sites") == (Path("a/b.csv:Sites"), None)
    odd = tmp_path / "b.xlsx:odd"
    odd.touch()
    assert locate(str(odd)) == (odd, None)


def test_no_value_is_written_as_in_bids() -> None:
    assert [cell_of(text) for text in ("", "NA", "n/a", "NaN", "#N/A", "0", "none at all")] == [
        *["n/a"] * 5,
        "0",
        "none at all",
    ]
