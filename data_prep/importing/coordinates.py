"""What the coordinates of a table are: told, or certain by the table itself, and never guessed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from data_prep.importing.columns import Columns
from data_prep.importing.numerals import Numerals, lowered, numerals_of
from data_prep.importing.records import AXES, ImportOptions
from data_prep.importing.sheets import Sheet
from data_prep.problems import InputError, Problems

_NEGATIVE = re.compile(r"-[\d.,]*[1-9]")


@dataclass(frozen=True)
class Meaning:
    """How x, y and z are meant.

    Attributes:
        space: "voxel" or "world".
        convention: Of world coordinates, else None.
        notes: What the table told, to be shown.
    """

    space: str
    convention: str | None
    notes: tuple[str, ...]


def read_positions(
    sheet: Sheet,
    columns: Columns,
    records: Mapping[int, Mapping[str, str]],
    options: ImportOptions,
    problems: Problems,
) -> tuple[dict[int, tuple[str, ...]], Meaning | None, tuple[str, ...]]:
    """Read x, y and z.

    Args:
        sheet: The table.
        columns: Of the roles.
        records: Its rows, by their number.
        options: What the user said of the coordinates.
        problems: Receives cells that are no numbers, and what is not certain.

    Returns:
        x, y, z as text by row number, of the rows in which they are sound; what they mean, None where that
        is not certain or a column is missing; notes.
    """
    axes = [axis for axis in AXES if axis in columns.templates]
    cells = {row: {axis: columns.of(axis, record) for axis in axes} for row, record in records.items()}
    flat = [cell for row in cells.values() for cell in row.values()]
    meaning = _meaning(sheet.name, columns, flat, options, problems) if len(axes) == len(AXES) else None
    try:
        numerals = numerals_of(flat, sheet.typed, sheet.semicolons, options.decimal_comma)
    except InputError as error:
        problems.add(f"{sheet.name}: columns x, y, z", str(error))
        return {}, None, ()
    positions = _numbers(sheet, columns, cells, numerals, problems)
    if meaning is None:
        return {}, None, ()
    if meaning.space == "voxel":
        positions = _indices(sheet, columns, positions, options.one_based, problems)
    notes = ("decimal commas of the coordinates are read as points",) if numerals.comma else ()
    return positions, meaning, notes


def _numbers(
    sheet: Sheet,
    columns: Columns,
    cells: Mapping[int, Mapping[str, str]],
    numerals: Numerals,
    problems: Problems,
) -> dict[int, tuple[str, ...]]:
    positions = {}
    for row, texts in cells.items():
        numbers = []
        for axis, text in texts.items():
            try:
                numbers.append(numerals.text(text))
            except InputError as error:
                problems.add(sheet.where(row, _column(columns, axis)), str(error))
        if len(numbers) == len(AXES):
            positions[row] = tuple(numbers)
    return positions


def _column(columns: Columns, role: str) -> str:
    return next(mapped.theirs for mapped in columns.mapped if mapped.ours == role)


def _meaning(
    name: str,
    columns: Columns,
    cells: Iterable[str],
    options: ImportOptions,
    problems: Problems,
) -> Meaning | None:
    before = len(problems)
    where = f"{name}: columns x, y, z"
    negative = any(_NEGATIVE.match(cell) for cell in cells)
    space, notes = options.space, []
    if space is None and columns.space is not None:
        space = columns.space
        notes.append(f"space = {space}, by the names of the columns")
    elif space is None and negative:
        space = "world"
        notes.append("space = world (mm), as some coordinates are negative")
    elif space is None:
        problems.add(where, "their space must be known: say --space voxel (indices) or --space world (mm).")
    convention = options.convention
    if space == "world" and convention is None:
        convention = columns.convention
        if convention is not None:
            notes.append(f"convention = {convention}, by the names of the columns")
        else:
            problems.add(
                where,
                "the convention of millimetres must be known: say --convention RAS (NIfTI) or "
                "--convention LPS (DICOM, ITK, navigation systems).",
            )
    _check_flags(where, space, options, columns, problems)
    if space == "voxel":
        base = "from 1, as told, and stored from 0" if options.one_based else "from 0; --one-based otherwise"
        notes.append(f"voxel indices count {base}")
    return Meaning(space, convention, tuple(notes)) if space and len(problems) == before else None


def _check_flags(
    where: str, space: str | None, options: ImportOptions, columns: Columns, problems: Problems
) -> None:
    """Flags that say what cannot be, or what the names of the columns deny."""
    if space == "voxel" and options.convention is not None:
        problems.add("--convention", "has a meaning for --space world alone. Remove it.")
    if space == "world" and options.one_based:
        problems.add("--one-based", "has a meaning for --space voxel alone. Remove it.")
    for flag, told, said in (
        ("--space", options.space, columns.space),
        ("--convention", options.convention, columns.convention),
    ):
        if told is not None and said is not None and told != said:
            problems.add(
                where, f"their names say {said}, but {flag} says {told}. Rename them, or say {said}."
            )


def _indices(
    sheet: Sheet,
    columns: Columns,
    positions: Mapping[int, tuple[str, ...]],
    one_based: bool,
    problems: Problems,
) -> dict[int, tuple[str, ...]]:
    """0-based indices."""
    least = 0.5 if one_based else -0.5
    for row, position in positions.items():
        for axis, text in zip(AXES, position, strict=True):
            if float(text) < least:
                law = f"an index from {1 if one_based else 0} is needed, but got {text}. Is --space right?"
                problems.add(sheet.where(row, _column(columns, axis)), law)
    if not one_based:
        return dict(positions)
    return {row: tuple(map(lowered, position)) for row, position in positions.items()}
