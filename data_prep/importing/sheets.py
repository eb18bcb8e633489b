"""Tables as users keep them: CSV, TSV and Excel, as text with the row numbers that their program shows."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from data_prep.importing.workbooks import WORKBOOKS, read_workbook
from data_prep.plain_files import MAX_TABLE_BYTES, read_text
from data_prep.problems import Problems
from data_prep.tables import MISSING, Row

_OLD = {".xls": "Excel's old format", ".ods": "OpenDocument", ".numbers": "a Numbers file", ".xlsb": "binary"}
_MOST_ROWS = 20  # named one by one
_EMPTY = frozenset({"", "n/a", "na", "nan", "null", "none", "#n/a"})


@dataclass(frozen=True)
class Sheet:
    """A table as text.

    Attributes:
        name: File name and sheet, as problems quote it.
        header: Row number of the column names.
        columns: Column names, not necessarily unique; one without a name is called "column 3".
        rows: Data rows that are not empty, each with as many cells as there are columns.
        empty: Row numbers of empty rows between others.
        typed: Whether numbers were stored as numbers, so that only text can have a decimal comma.
        semicolons: Whether semicolons separate the cells, which programs do where the comma is decimal.
    """

    name: str
    header: int
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    empty: tuple[int, ...] = ()
    typed: bool = False
    semicolons: bool = False

    def where(self, row: int, column: str) -> str:
        """The place of a cell, as it is quoted in problems."""
        return f"{self.name}: row {row}, column {column}"

    def records(self) -> dict[int, Mapping[str, str]]:
        """Cells by column name, by row number."""
        return {row.number: dict(zip(self.columns, row.cells, strict=True)) for row in self.rows}


_Numbered = tuple[int, tuple[str, ...]]  # row number and cells


@dataclass(frozen=True)
class _Form:
    """What is known of a table before it is read.

    Attributes:
        header: Row number of the header, None where nobody said it.
        typed: As of `Sheet`.
        semicolons: As of `Sheet`.
        row_names: Whether R may have written row names, whose column has no title.
    """

    header: int | None = None
    typed: bool = False
    semicolons: bool = False
    row_names: bool = False


def is_missing(cell: str) -> bool:
    """Whether a cell says that there is no value.

    >>> is_missing("NA"), is_missing("0")
    (True, False)
    """
    return cell.lower() in _EMPTY


def cell_of(text: str) -> str:
    """A cell of our tables: `n/a` for no value."""
    return MISSING if is_missing(text) else text


def locate(text: str) -> tuple[Path, str | None]:
    """File and sheet of "FILE" or "FILE:SHEET"."""
    before, colon, sheet = text.rpartition(":")
    if colon and sheet and not Path(text).exists() and Path(before).suffix.lower() in WORKBOOKS:
        return Path(before), sheet
    return Path(text), None


def read_sheet(
    text: str, problems: Problems, row_names: bool = False, header: int | None = None
) -> Sheet | None:
    """Read a table; what is wrong with its form is noted.

    Args:
        text: "FILE", or "FILE:SHEET" of a workbook.
        row_names: Whether rows of one cell more than the header begin with a name, as R writes them; never
            where commas separate, as then the further cell may come from decimal commas.
        header: Row number of the header; None: the first row that is no remark.
        problems: Receives what cannot be read, rows of more or fewer cells than the header, and formulas
            without a stored value.

    Returns:
        The table, None where there is no header to read it by.
    """
    path, wanted = locate(text)
    if (kind := _OLD.get(path.suffix.lower())) is not None:
        problems.add(path.name, f"CSV, TSV or .xlsx is needed, but got {kind}. Save it as .xlsx.")
        return None
    if path.suffix.lower() in WORKBOOKS:
        cells = read_workbook(path, wanted, problems)
        return None if cells is None else _sheet(cells.name, cells.rows, _Form(header, typed=True), problems)
    return _read_delimited(path, row_names, header, problems)


def _read_delimited(path: Path, row_names: bool, header: int | None, problems: Problems) -> Sheet | None:
    try:
        text = read_text(path, MAX_TABLE_BYTES)
    except UnicodeDecodeError as error:
        problems.add(
            path.name,
            f"UTF-8 text is needed, but byte {error.start} is not. Save it as 'CSV UTF-8' or as .xlsx.",
        )
        return None
    except OSError as error:
        problems.add(str(path), f"the file must be readable, but got '{error.strerror}'.")
        return None
    delimiter = "\t" if path.suffix.lower() == ".tsv" else _delimiter(text, header)
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    except csv.Error as error:
        problems.add(path.name, f"a table is needed, but: {error}.")
        return None
    form = _Form(header, semicolons=delimiter == ";", row_names=row_names and delimiter != ",")
    return _sheet(path.name, rows, form, problems)


def _delimiter(text: str, header: int | None) -> str:
    """What separates most cells of the first line that is not empty and no remark."""
    lines = [
        line for line in text.split("\n", _MOST_ROWS + (header or 0))[(header or 1) - 1 :] if line.strip()
    ]
    first = next((line for line in lines if not line.startswith("#")), next(iter(lines), ""))
    found = {mark: len(next(csv.reader([first], delimiter=mark), [])) for mark in ("\t", ";", ",")}
    return max(found, key=lambda mark: found[mark])


def _sheet(name: str, rows: Iterable[Sequence[str]], form: _Form, problems: Problems) -> Sheet | None:
    numbered = [(n, tuple(" ".join(cell.split()) for cell in row)) for n, row in enumerate(rows, start=1)]
    filled = [(number, cells) for number, cells in numbered if any(cells)]
    if form.header is None:
        filled = _from_header(filled)
    elif not any(number == form.header for number, _ in filled):
        problems.add(name, f"the header is in row {form.header} by --header-row, but that row is empty.")
        return None
    else:
        filled = [(number, cells) for number, cells in filled if number >= form.header]
    if len(filled) < 2:
        problems.add(name, f"a header row and a data row are needed, but {len(filled)} row is there.")
        return None
    (header, titles), *data = filled
    if form.row_names and {len(cells) for _, cells in data} == {len(titles) + 1}:
        titles = ("", *titles)  # R writes no name for the column of row names
    if not form.typed:
        data = _even(name, data, len(titles), problems)
    width = max(
        column for _, cells in [(header, titles), *data] for column, cell in enumerate(cells, 1) if cell
    )
    used = [
        c
        for c in range(width)
        if any(c < len(cells) and cells[c] for cells in (titles, *dict(data).values()))
    ]
    kept = [Row(number, tuple(cells[c] if c < len(cells) else "" for c in used)) for number, cells in data]
    columns = tuple((titles[c] if c < len(titles) else "") or f"column {c + 1}" for c in used)
    last = filled[-1][0]
    empty = tuple(number for number, cells in numbered if header < number < last and not any(cells))
    return Sheet(name, header, columns, tuple(kept), empty, form.typed, form.semicolons)


def _from_header(filled: list[_Numbered]) -> list[_Numbered]:
    """Rows without the remarks above the header, which fill fewer cells than the header does."""
    first = next((place for place, (_, cells) in enumerate(filled) if not cells[0].startswith("#")), 0)
    wide = sum(map(bool, filled[first][1])) if filled else 0
    while first and sum(map(bool, filled[first - 1][1])) >= wide:
        first -= 1
    return filled[first:]


def _even(name: str, data: Iterable[_Numbered], width: int, problems: Problems) -> list[_Numbered]:
    """Rows that have a cell for each title; empty cells behind them do not count."""
    kept, bad = [], []
    for number, cells in data:
        found = max(min(len(cells), width), *(c for c, cell in enumerate(cells, 1) if cell))
        if found == width:
            kept.append((number, cells[:width]))
        else:
            bad.append((number, found))
    for number, found in bad[:_MOST_ROWS]:
        hint = " Is a decimal comma or a comma in a text not in quotes?" if found > width else ""
        problems.add(f"{name}: row {number}", f"{width} cells are needed, but got {found}.{hint}")
    if len(bad) > _MOST_ROWS:
        problems.add(name, f"{len(bad) - _MOST_ROWS} more rows do not have {width} cells.")
    return kept
