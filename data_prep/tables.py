"""Tab-separated tables as in BIDS: UTF-8, one header row, `n/a` for a missing value.

References:
    Brain Imaging Data Structure, "Tabular files".
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from data_prep.plain_files import MAX_TABLE_BYTES, read_text
from data_prep.problems import InputError, Problems, nearest

MISSING = "n/a"


@dataclass(frozen=True)
class Row:
    """One data row.

    Attributes:
        number: As an editor counts it: the header is row 1, the first data row is row 2.
        cells: Text of each cell, in the order of the columns.
    """

    number: int
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table as text.

    Attributes:
        name: File name, as it is quoted in problems.
        columns: Column names, unique.
        rows: Data rows, each with as many cells as there are columns.
    """

    name: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    def index(self, column: str) -> int:
        """Position of a column that is known to exist."""
        return self.columns.index(column)

    def where(self, row: Row, column: str) -> str:
        """The place of a cell, as it is quoted in problems."""
        return f"{self.name}: row {row.number}, column {column}"


def read_table(path: Path, problems: Problems) -> Table | None:
    """Read a table; what is wrong with its form is noted, rows that fit the header are kept.

    Args:
        path: The file.
        problems: Receives a line for each ragged row, for an absent, empty or undecodable file.

    Returns:
        The table, or None where there is no header to read it by.
    """
    try:
        text = read_text(path, MAX_TABLE_BYTES)
    except UnicodeDecodeError as error:
        problems.add(path.name, f"UTF-8 text is needed, but byte {error.start} is not. Save it as UTF-8.")
        return None
    except OSError as error:
        problems.add(path.name, f"the file must be readable, but got '{error.strerror}' for {path}.")
        return None
    lines = text.split("\n")
    if not lines or not lines[0].strip():
        problems.add(f"{path.name}: row 1", "a header row is needed, but the file is empty.")
        return None
    columns = tuple(cell.strip() for cell in lines[0].split("\t"))
    if not _header_is_sound(path.name, columns, problems):
        return None
    rows = tuple(_rows(path.name, lines[1:], len(columns), problems))
    if not rows:
        problems.add(f"{path.name}: row 2", "at least one data row is needed, but got none.")
    return Table(path.name, columns, rows)


def _header_is_sound(name: str, columns: tuple[str, ...], problems: Problems) -> bool:
    repeated = sorted(name for name, times in Counter(columns).items() if times > 1 and name)
    hidden = [column for column in columns if not column.isprintable()]
    for column in hidden:
        problems.add(f"{name}: row 1", f"a column name must be plain text, but got '{column}'.")
    for column in repeated:
        problems.add(f"{name}: row 1, column {column}", "a column name must occur once, but it is repeated.")
    if "" in columns:
        problems.add(f"{name}: row 1", f"column {columns.index('') + 1} needs a name, but got none.")
    return not repeated and not hidden and "" not in columns


def _rows(name: str, lines: Iterable[str], width: int, problems: Problems) -> Iterable[Row]:
    for number, line in enumerate(lines, start=2):
        if not line.strip():
            continue
        cells = tuple(cell.strip() for cell in line.split("\t"))
        if len(cells) == width:
            yield Row(number, cells)
        else:
            problems.add(
                f"{name}: row {number}", f"{width} tab-separated cells are needed, but got {len(cells)}."
            )


def require_columns(table: Table, names: Iterable[str], problems: Problems) -> bool:
    """Note each required column that the table lacks; True if it has them all."""
    missing = [name for name in names if name not in table.columns]
    for name in missing:
        hint = nearest(name, table.columns)
        if len(table.columns) == 1 and ("," in table.columns[0] or ";" in table.columns[0]):
            hint = "Is the file separated by tabs?"
        problems.add(f"{table.name}: row 1, column {name}", f"the column is required, but missing. {hint}")
    return not missing


def parse_number(text: str) -> float:
    """A finite decimal number.

    Raises:
        InputError: The text is anything else; the line says only which rule it breaks.

    >>> parse_number("93.5")
    93.5
    """
    try:
        value = float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"a number is needed, but got '{text}'.")
    return value
