"""Reading a cohort: a folder with a cohort.toml, its tables, and the whereabouts of its images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath, PureWindowsPath
from types import MappingProxyType

import numpy as np

from data_prep.arrays import DoubleArray
from data_prep.cohort_file import FILE_NAME, CohortFile, Coordinates, placeholders, read_cohort_file
from data_prep.problems import InputError, Problems, nearest
from data_prep.records import MASKS, Biopsy, Cohort, Expression
from data_prep.survey import check_images, note_no_image
from data_prep.tables import MISSING, Row, Table, parse_number, read_table, require_columns

__all__ = ["Biopsy", "Cohort", "Coordinates", "Expression", "read_cohort"]

_AXES = ("x", "y", "z")


def read_cohort(folder: Path, progress: Callable[[int, int], None] | None = None) -> Cohort:
    """Read the tables of a cohort; no image is opened unless there is something to complain about.

    Args:
        folder: The cohort's folder, or its cohort.toml.
        progress: Called with (done, total) while images are checked, after the tables were found faulty.

    Returns:
        The cohort, its biopsies in the order of the table.

    Raises:
        InputError: Every problem of the tables; and since the user must come back anyway, every problem of
            the images that can be found by way of the rows that are sound.
    """
    path = folder if folder.is_file() else folder / FILE_NAME
    file = read_cohort_file(path)
    problems = Problems()
    cohort = _read_tables(path.parent, path.name, file, problems)
    if len(problems) and cohort.biopsies:
        check_images(cohort, problems, progress)
    problems.raise_any()
    return cohort


def _read_tables(root: Path, name: str, file: CohortFile, problems: Problems) -> Cohort:
    biopsies: tuple[Biopsy, ...] = ()
    table = read_table(root / file.biopsies, problems)
    if table is not None:
        needed = ("biopsy_id", "participant_id", *_AXES)
        sound = require_columns(table, needed, problems)
        if _placeholders_are_known(name, file, table, problems) and sound:
            biopsies = _read_biopsies(table, file, problems)
    expression = None
    if file.expression is not None:
        known = {biopsy.biopsy_id for biopsy in biopsies}
        expression = _read_expression(root / file.expression, known, problems)
    cohort = Cohort(file.name, root, file.sequences, biopsies, file.coordinates, expression, file)
    _check_presence(cohort, name, problems)
    return cohort


def _placeholders_are_known(name: str, file: CohortFile, table: Table, problems: Problems) -> bool:
    before = len(problems)
    for key, template in file.templates():
        known = set(table.columns) | ({"sequence"} if key.endswith("images") else set())
        for placeholder in placeholders(template):
            if placeholder not in known:
                problems.add(
                    f"{name}: {key}", f"unknown column '{placeholder}'; {nearest(placeholder, known)}."
                )
    return len(problems) == before


def _read_biopsies(table: Table, file: CohortFile, problems: Problems) -> tuple[Biopsy, ...]:
    templates = {key: set(placeholders(template)) - {"sequence"} for key, template in file.templates()}
    in_paths = set().union(*templates.values())
    # Those who were not scanned again may have n/a in the columns of [repeats].
    required = {"biopsy_id", "participant_id"}.union(
        *(names for key, names in templates.items() if key != "repeats.images")
    )
    seen: dict[str, int] = {}
    biopsies = []
    for row in table.rows:
        biopsy = _read_biopsy(table, row, required, in_paths, problems)
        if biopsy is not None:
            first = seen.setdefault(biopsy.biopsy_id, row.number)
            if first != row.number:
                problems.add(
                    table.where(row, "biopsy_id"),
                    f"must be unique, but got '{biopsy.biopsy_id}' as in row {first}.",
                )
            biopsies.append(biopsy)
    return tuple(biopsies)


def _read_biopsy(
    table: Table, row: Row, required: set[str], in_paths: set[str], problems: Problems
) -> Biopsy | None:
    before = len(problems)
    columns = dict(zip(table.columns, row.cells, strict=True))
    position = []
    for axis in _AXES:
        try:
            position.append(parse_number(columns[axis]))
        except InputError as error:
            problems.add(table.where(row, axis), str(error))
    for column in sorted(required):
        if columns[column] in ("", MISSING):
            problems.add(table.where(row, column), f"a value is needed, but got '{columns[column]}'.")
    for column in sorted(in_paths):
        if columns[column] != MISSING and not _stays_inside(columns[column]):
            problems.add(
                table.where(row, column),
                f"must be a plain name, as it is part of a path, but got '{columns[column]}'.",
            )
    if len(problems) > before:
        return None
    x, y, z = position
    return Biopsy(
        columns["biopsy_id"], columns["participant_id"], (x, y, z), row.number, MappingProxyType(columns)
    )


def _stays_inside(value: str) -> bool:
    """Whether a table value can be put into a path without leaving its folder on any system."""
    parts = (*PurePosixPath(value).parts, *PureWindowsPath(value).parts)
    return (
        len(PurePosixPath(value).parts) <= 1
        and not {"..", "/"} & set(parts)
        and not set("/\\:\0") & set(value)
    )


def _read_expression(path: Path, known: set[str], problems: Problems) -> Expression | None:
    table = read_table(path, problems)
    if table is None or not require_columns(table, ["biopsy_id"], problems):
        return None
    key = table.index("biopsy_id")
    genes = table.columns[:key] + table.columns[key + 1 :]
    if not genes:
        problems.add(f"{table.name}: row 1", "a column for each gene is needed, but got none.")
    seen: dict[str, int] = {}
    for row in table.rows:
        first = seen.setdefault(row.cells[key], row.number)
        if first != row.number:
            problems.add(
                table.where(row, "biopsy_id"),
                f"must be unique, but got '{row.cells[key]}' as in row {first}.",
            )
    if known and table.rows and not known & set(seen):
        problems.add(
            f"{table.name}: row {table.rows[0].number}, column biopsy_id",
            f"some row must name one of the biopsies, but got '{table.rows[0].cells[key]}' and the like.",
        )
    values = np.array([_read_values(table, row, key, problems) for row in table.rows], dtype=np.float64)
    names = tuple(row.cells[key] for row in table.rows)
    return Expression(table.name, genes, names, values.reshape(len(names), len(genes)))


def _read_values(table: Table, row: Row, key: int, problems: Problems) -> DoubleArray:
    """The values of one row; NaN for n/a, and for what was noted as a problem."""
    values = np.full(len(table.columns), np.nan)
    for column, cell in enumerate(row.cells):
        if column == key or cell == MISSING:
            continue
        try:
            values[column] = parse_number(cell)
        except InputError as error:
            problems.add(table.where(row, table.columns[column]), f"{error} Write n/a for a missing value.")
        if values[column] < 0:
            problems.add(
                table.where(row, table.columns[column]), f"expression cannot be negative, but got {cell}."
            )
    return np.delete(values, key)


def _check_presence(cohort: Cohort, name: str, problems: Problems) -> None:
    """Every biopsy needs an image, every sequence somebody who has it."""
    present: set[str] = set()
    for biopsy in cohort.biopsies:
        here = set(cohort.images(biopsy, cohort.sequences))
        present |= here
        if not here:
            note_no_image(cohort, biopsy, problems)
    for sequence in cohort.sequences if cohort.biopsies else ():
        if sequence not in present:
            example = cohort.label_of(cohort.image_path(cohort.biopsies[0], sequence))
            problems.add(
                f"{name}: sequences",
                f"somebody must have '{sequence}', but no file exists, such as {example}.",
            )
    _check_masks(cohort, name, problems)


def _check_masks(cohort: Cohort, name: str, problems: Problems) -> None:
    """A mask that is declared and that nobody has is a mistake in its path."""
    for mask in MASKS:
        paths = [cohort.mask_path(biopsy, mask) for biopsy in cohort.biopsies]
        declared = [path for path in paths if path is not None]
        if declared and not any(path.exists() for path in declared):
            problems.add(
                f"{name}: masks.{mask}",
                f"somebody must have it, but no file exists, such as {cohort.label_of(declared[0])}.",
            )
