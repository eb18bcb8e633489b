"""Excel workbooks as data: no macro runs, no link is followed, and a formula is the value stored for it."""

from __future__ import annotations

import datetime
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from xml.etree.ElementTree import ParseError

import openpyxl
from openpyxl.utils import get_column_letter
from openpyxl.utils.exceptions import InvalidFileException

from data_prep.plain_files import MAX_TABLE_BYTES, kind_of
from data_prep.problems import Problems, nearest

WORKBOOKS: Final = (".xlsx", ".xlsm")

MAX_ROWS: Final = 2**20
"""Of a sheet, as Excel has them."""

MAX_CELLS: Final = 2**25
"""Of a sheet: 100,000 genes of 300 samples."""

_MOST_FORMULAS = 20  # named one by one

# What openpyxl raises on its way through a broken workbook.
_BROKEN: tuple[type[Exception], ...] = (
    *(OSError, zipfile.BadZipFile, InvalidFileException, ParseError),
    *(KeyError, ValueError, TypeError, AttributeError, IndexError, EOFError, zipfile.zlib.error),  # type: ignore[attr-defined]
)


@dataclass(frozen=True)
class Cells:
    """A sheet's cells as text.

    Attributes:
        name: File name and sheet, as problems quote it.
        rows: From row 1 on.
    """

    name: str
    rows: list[list[str]]


def read_workbook(path: Path, wanted: str | None, problems: Problems) -> Cells | None:
    """Read one sheet of a workbook.

    Args:
        path: An .xlsx or .xlsm file.
        wanted: The sheet's name; None: the only one that has cells.
        problems: Receives what cannot be read, and formulas without a stored value.

    Returns:
        None where nothing can be read.
    """
    try:
        if not path.is_file():
            found = kind_of(path.stat().st_mode)
            problems.add(str(path), f"a plain file is needed, but got {found}.")
            return None
        if not _size_is_sane(path, problems):
            return None
        return _read(path, wanted, problems)
    except _BROKEN as error:
        said = getattr(error, "strerror", None) or str(error) or type(error).__name__
        problems.add(str(path), f"a readable workbook is needed, but got '{said}'. Save it anew as .xlsx.")
        return None


def _size_is_sane(path: Path, problems: Problems) -> bool:
    with zipfile.ZipFile(path) as archive:
        claimed = sum(part.file_size for part in archive.infolist())
    if claimed > MAX_TABLE_BYTES or path.stat().st_size > MAX_TABLE_BYTES:
        problems.add(path.name, f"a workbook has at most {MAX_TABLE_BYTES} bytes inside, but got {claimed}.")
        return False
    return True


def _read(path: Path, wanted: str | None, problems: Problems) -> Cells | None:
    book = openpyxl.load_workbook(path, read_only=True, data_only=True, keep_links=False)
    try:
        title = _title(book, path.name, wanted, problems)
        if title is None:
            return None
        name = f"{path.name}:{title}" if len(book.sheetnames) > 1 else path.name
        rows = _texts(book[title], name, problems)
    finally:
        book.close()
    if rows is not None and _has_formulas(path):
        _check_formulas(path, title, name, rows, problems)
    return None if rows is None else Cells(name, rows)


def _title(book: Any, name: str, wanted: str | None, problems: Problems) -> str | None:
    """The sheet to read."""
    titles = [sheet.title for sheet in book.worksheets]
    if wanted is not None:
        if wanted not in titles:
            problems.add(name, f"unknown sheet '{wanted}'; {nearest(wanted, titles)}.")
            return None
        return wanted
    filled = [title for title in titles if _has_cells(book[title])] if len(titles) > 1 else titles
    if len(filled) != 1:
        problems.add(
            name, f"the sheet must be named, as in {name}:SHEET, but got none. Known: {', '.join(titles)}"
        )
        return None
    return str(filled[0])


def _has_cells(sheet: Any) -> bool:
    sheet.reset_dimensions()
    return any(value is not None for row in sheet.iter_rows(values_only=True) for value in row)


def _texts(sheet: Any, name: str, problems: Problems) -> list[list[str]] | None:
    sheet.reset_dimensions()  # what the file claims of its size is not believed
    rows: list[list[str]] = []
    cells = 0
    for row in sheet.iter_rows(values_only=True):
        rows.append([_text(value) for value in _trimmed(row)])
        cells += len(rows[-1])
        if cells > MAX_CELLS or len(rows) > MAX_ROWS:
            problems.add(name, f"a sheet has at most {MAX_ROWS} rows and {MAX_CELLS} cells, but got more.")
            return None
    return rows


def _trimmed(row: Iterable[Any]) -> list[Any]:
    values = list(row)
    while values and values[-1] is None:
        values.pop()
    return values


def _text(value: Any) -> str:
    """A cell's value as text: whole numbers without a point, dates as ISO 8601."""
    if value is None:
        return ""
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        return value.date().isoformat()
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return str(value)


def _has_formulas(path: Path) -> bool:
    """Whether some sheet holds a formula, told by its XML, so that others need not be read twice."""
    with zipfile.ZipFile(path) as archive:
        for part in archive.namelist():
            if part.startswith("xl/worksheets/") and part.endswith(".xml"):
                with archive.open(part) as file:
                    end = b""
                    while piece := file.read(2**20):
                        if any(mark in end + piece for mark in (b"<f>", b"<f ", b"<f/>")):
                            return True
                        end = piece[-4:]
    return False


def _check_formulas(path: Path, title: str, name: str, rows: list[list[str]], problems: Problems) -> None:
    book = openpyxl.load_workbook(path, read_only=True, data_only=False, keep_links=False)
    missing = []
    try:
        sheet = book[title]
        sheet.reset_dimensions()
        for number, row in enumerate(sheet.iter_rows()):
            for column, cell in enumerate(row):
                if cell.data_type == "f" and not _at(rows, number, column):
                    missing.append(f"{get_column_letter(column + 1)}{number + 1}")
    finally:
        book.close()
    for place in missing[:_MOST_FORMULAS]:
        problems.add(
            f"{name}: cell {place}",
            "a value is needed, but got a formula without a stored one. Open the file in Excel and save it.",
        )
    if len(missing) > _MOST_FORMULAS:
        problems.add(name, f"{len(missing) - _MOST_FORMULAS} more formulas have no stored value.")


def _at(rows: list[list[str]], row: int, column: int) -> str:
    return rows[row][column] if row < len(rows) and column < len(rows[row]) else ""
