"""Numbers as people write them: with a decimal point or a comma, and never guessed from an unclear one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from data_prep.problems import InputError
from data_prep.tables import parse_number

_COMMA = re.compile(r"[+-]?(?P<whole>\d*),(?P<part>\d+)(?:[eE][+-]?\d+)?")
_GROUPED = re.compile(r"[1-9]\d{0,2}")


@dataclass(frozen=True)
class Numerals:
    """How a table writes numbers.

    Attributes:
        comma: Whether the comma is decimal.
        typed: Whether the table stores numbers as such, which then have a point beside texts with a comma.
    """

    comma: bool = False
    typed: bool = False

    def text(self, cell: str) -> str:
        """A finite decimal number with a point, otherwise as it was written.

        Raises:
            InputError: The cell is anything else; the line says only which rule it breaks.

        >>> Numerals(comma=True).text("-12,50")
        '-12.50'
        """
        if self.comma and "." in cell and not self.typed:
            raise InputError(f"a decimal comma is needed, as elsewhere in the table, but got '{cell}'.")
        plain = cell.replace(",", ".") if self.comma and _COMMA.fullmatch(cell) else cell
        parse_number(plain)
        return plain

    def number(self, cell: str) -> float:
        """The same as a number.

        Raises:
            InputError: As `text`.
        """
        return float(self.text(cell))


def numerals_of(cells: Iterable[str], typed: bool, semicolons: bool, told: bool) -> Numerals:
    """Find out how a table writes numbers.

    A comma is decimal where it cannot separate thousands ("12,5", "0,125", "1234,567"), where semicolons
    separate the cells, or where the user said so.

    Args:
        cells: Those that should be numbers.
        typed: Whether the table stores numbers as such.
        semicolons: Whether semicolons separate its cells.
        told: Whether the user said that commas are decimal.

    Raises:
        InputError: There are commas that may be either.
    """
    unclear = None
    for cell in cells:
        match = _COMMA.fullmatch(cell) if "," in cell else None
        if match is None:
            continue
        if told or semicolons or len(match["part"]) != 3 or not _GROUPED.fullmatch(match["whole"]):
            return Numerals(True, typed)
        unclear = unclear or cell
    if unclear is not None:
        raise InputError(
            f"a number must be clear, but '{unclear}' may be {unclear.replace(',', '.')} or "
            f"{unclear.replace(',', '')}. Say --decimal-comma, or write numbers with a point."
        )
    return Numerals(False, typed)


def lowered(text: str) -> str:
    """One less than a decimal number, exactly.

    >>> lowered("93.50"), lowered("1")
    ('92.50', '0')
    """
    return format(Decimal(text) - 1, "f")


def plain(value: float) -> str:
    """A number as tables hold it: as short as 15 digits allow.

    >>> plain(0.1), plain(3.0)
    ('0.1', '3')
    """
    return f"{value:.15g}"
