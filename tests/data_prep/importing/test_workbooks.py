"""Excel workbooks, written by openpyxl."""

from __future__ import annotations

import datetime
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from data_prep.importing.sheets import read_sheet
from data_prep.importing.workbooks import read_workbook
from data_prep.problems import Problems


def workbook(path: Path, **sheets: list[list[Any]]) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def test_cells_are_text_with_whole_numbers_and_plain_dates(tmp_path: Path) -> None:
    rows = [["id", "x", "day"], [1.0, 2.5, datetime.datetime(2019, 3, 1)], ["b", -1, None]]
    sheet = read_sheet(str(workbook(tmp_path / "t.xlsx", Sites=rows, Empty=[])), Problems())
    assert sheet is not None
    assert sheet.typed
    assert [row.cells for row in sheet.rows] == [("1", "2.5", "2019-03-01"), ("b", "-1", "")]


def test_one_of_several_sheets_must_be_named(tmp_path: Path) -> None:
    path, problems = workbook(tmp_path / "t.xlsx", A=[["id"], [1]], B=[["id"], [2]]), Problems()
    assert read_workbook(path, None, problems) is None
    assert read_workbook(path, "C", problems) is None
    with pytest.raises(ValueError, match=r"(?s)as in t.xlsx:SHEET.*Known: A, B.*unknown sheet 'C'"):
        problems.raise_any()
    chosen = read_sheet(f"{path}:B", Problems())
    assert chosen is not None
    assert chosen.name == "t.xlsx:B"
    assert chosen.rows[0].cells == ("2",)


def test_a_formula_is_its_stored_value_or_a_problem(tmp_path: Path) -> None:
    path, problems = workbook(tmp_path / "t.xlsx", A=[["id", "x"], ["a", "=1+1"]]), Problems()
    assert read_workbook(path, None, problems) is not None
    with pytest.raises(
        ValueError, match="cell B2: a value is needed, but got a formula without a stored one"
    ):
        problems.raise_any()
    stored = tmp_path / "stored.xlsx"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(stored, "w") as new:
        for part in old.namelist():
            content = old.read(part)
            if part.startswith("xl/worksheets/"):
                assert b"<f>1+1</f><v" in content
                content = content.replace(b"<f>1+1</f><v></v>", b"<f>1+1</f><v>2</v>")
                content = content.replace(b"<f>1+1</f><v />", b"<f>1+1</f><v>2</v>")
                content = content.replace(b"<f>1+1</f><v/>", b"<f>1+1</f><v>2</v>")
            new.writestr(part, content)
    problems = Problems()
    cells = read_workbook(stored, None, problems)
    assert cells is not None
    assert not len(problems)
    assert cells.rows == [["id", "x"], ["a", "2"]]


def test_what_is_no_workbook_and_what_is_too_large_inside_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    problems = Problems()
    (tmp_path / "text.xlsx").write_text("id,x\n")
    with zipfile.ZipFile(tmp_path / "zip.xlsx", "w") as archive:
        archive.writestr("a", "b")
    for name in ("text.xlsx", "zip.xlsx", "gone.xlsx"):
        assert read_workbook(tmp_path / name, None, problems) is None
    monkeypatch.setattr("data_prep.importing.workbooks.MAX_TABLE_BYTES", 10)
    assert read_workbook(workbook(tmp_path / "t.xlsx", A=[["id"], [1]]), None, problems) is None
    assert len(problems) == 4
    with pytest.raises(ValueError, match=r"(?s)readable workbook.*at most 10 bytes inside"):
        problems.raise_any()


def test_a_far_cell_does_not_fill_memory(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active["A1"], book.active["A2"], book.active["B3000"] = "id", "a", "far"
    book.save(tmp_path / "t.xlsx")
    sheet = read_sheet(str(tmp_path / "t.xlsx"), Problems())
    assert sheet is not None
    assert [(row.number, row.cells) for row in sheet.rows] == [(2, ("a", "")), (3000, ("", "far"))]


@pytest.mark.parametrize(("limit", "most"), [("MAX_CELLS", 5), ("MAX_ROWS", 2)])
def test_a_sheet_of_too_many_rows_or_cells_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, most: int
) -> None:
    path, problems = workbook(tmp_path / "t.xlsx", A=[["id", "x"], ["a", 1], ["b", 2]]), Problems()
    monkeypatch.setattr(f"data_prep.importing.workbooks.{limit}", most + 1)
    assert read_workbook(path, None, problems) is not None
    monkeypatch.setattr(f"data_prep.importing.workbooks.{limit}", most)
    assert read_workbook(path, None, problems) is None
    with pytest.raises(ValueError, match=r"rows and .* cells, but got more"):
        problems.raise_any()


@pytest.mark.parametrize("before", [0, 1, 2])
def test_a_formula_is_found_wherever_it_lies_in_a_large_file(tmp_path: Path, before: int) -> None:
    """The file is searched in pieces of a mebibyte, and the mark of a formula lies across the end of one."""
    path, padded = workbook(tmp_path / "t.xlsx", A=[["id", "x"], ["a", "=1+1"]]), tmp_path / "padded.xlsx"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(padded, "w") as new:
        for part in old.namelist():
            content = old.read(part)
            if part.startswith("xl/worksheets/"):
                head, tail = content.split(b"<sheetData>")
                room = 2**20 - before - content.index(b"<f>") - len(b"<!---->")
                content = head + b"<!--" + b"x" * room + b"--><sheetData>" + tail
                assert content.index(b"<f>") == 2**20 - before
            new.writestr(part, content)
    problems = Problems()
    read_workbook(padded, None, problems)
    with pytest.raises(ValueError, match="cell B2: a value is needed, but got a formula"):
        problems.raise_any()
