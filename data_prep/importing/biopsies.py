"""The user's table of biopsies, read into rows of biopsies.tsv."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from data_prep.importing.columns import Columns, find_columns
from data_prep.importing.coordinates import read_positions
from data_prep.importing.records import AXES, ROLES, BiopsyTable, ImportOptions, LeftOut
from data_prep.importing.sheets import Sheet, cell_of, is_missing, read_sheet
from data_prep.problems import Problems


def read_biopsies(options: ImportOptions, problems: Problems) -> BiopsyTable | None:
    """Read the table of biopsies.

    Args:
        options: What was asked for.
        problems: Receives all that is wrong with it, with row numbers as in the user's file.

    Returns:
        The table, with rows whose ids are sound; None where it cannot be read.
    """
    sheet = read_sheet(options.biopsies, problems, header=options.header_row)
    if sheet is None:
        return None
    columns = find_columns(sheet, options, problems)
    records = sheet.records()
    ids = _ids(sheet, columns, records, problems)
    positions, meaning, notes = read_positions(sheet, columns, records, options, problems)
    further, left_out = _further(sheet, columns, options.drop)
    roles = [role for role in ROLES if role in columns.templates]
    table = {}
    for row, record in records.items():
        if row in ids:
            cells = ids[row] | dict(zip(AXES, positions.get(row, ()), strict=False))
            table[row] = cells | {name: cell_of(record[name]) for name in further}
    empty = [LeftOut(f"{sheet.name}: row {number}", "it is empty") for number in sheet.empty]
    return BiopsyTable(
        sheet.name,
        (*roles, *further),
        table,
        records,
        columns.mapped,
        meaning.space if meaning else "",
        meaning.convention if meaning else None,
        (*(meaning.notes if meaning else ()), *notes),
        (*left_out, *empty),
        columns.sound,
    )


def _ids(
    sheet: Sheet, columns: Columns, records: Mapping[int, Mapping[str, str]], problems: Problems
) -> dict[int, dict[str, str]]:
    """Ids of the rows that have them, by row number."""
    roles = [role for role in ROLES if role in columns.templates and role not in AXES]
    theirs = {mapped.ours: mapped.theirs for mapped in columns.mapped}
    first: dict[str | None, int] = {}
    ids = {}
    for number, record in records.items():
        cells = {role: columns.of(role, record) for role in roles}
        missing = [role for role, cell in cells.items() if is_missing(cell)]
        for role in missing:
            problems.add(sheet.where(number, theirs[role]), f"a value is needed, but got '{cells[role]}'.")
        biopsy = cells.get("biopsy_id")
        same = first.setdefault(biopsy, number)
        if same != number and biopsy is not None and "biopsy_id" not in missing:
            hint = f"Where it is unique in a participant alone: --map 'biopsy_id={_both(theirs)}'."
            problems.add(
                sheet.where(number, theirs["biopsy_id"]),
                f"must be unique, but got '{biopsy}' as in row {same}. {hint}",
            )
        if not missing:
            ids[number] = cells
    return ids


def _both(theirs: Mapping[str, str]) -> str:
    names = (theirs.get(role, "COLUMN") for role in ("participant_id", "biopsy_id"))
    return "-".join(name if "{" in name else "{" + name + "}" for name in names)


def _further(sheet: Sheet, columns: Columns, drop: Sequence[str]) -> tuple[list[str], list[LeftOut]]:
    """The columns that no role is taken from, under their own names; and those that are left out."""
    further, left_out = [], []
    for column in sheet.columns:
        where = f"{sheet.name}: column {column}"
        if column in columns.used:
            continue
        if column in drop:
            left_out.append(LeftOut(where, "--drop"))
        elif column in (*ROLES, "sequence"):
            left_out.append(LeftOut(where, "its name has another meaning in a cohort"))
        elif not column.isprintable():
            left_out.append(LeftOut(where, "its name is no plain text"))
        else:
            further.append(column)
    return further, left_out
