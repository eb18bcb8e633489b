"""Reading a cohort: a folder with a cohort.toml, its tables, and the whereabouts of its images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np

from data_prep.arrays import DoubleArray
from data_prep.cohort_file import FILE_NAME, CohortFile, Coordinates, placeholders, read_cohort_file
from data_prep.places import Places, is_plain_name
from data_prep.plain_files import is_plain
from data_prep.problems import InputError, Problems, nearest
from data_prep.records import MASKS, Biopsy, Cohort, Expression
from data_prep.survey import check_images, note_no_image
from data_prep.tables import MISSING, Row, Table, parse_number, read_table, require_columns

__all__ = ["Biopsy", "Cohort", "Coordinates", "Expression", "read_cohort", "read_leniently", "read_sites"]

_AXES = ("x", "y", "z")
_NEEDED = ("biopsy_id", "participant_id", *_AXES)

# In any unit; sums and squares stay finite.
_MAX_EXPRESSION = 1e15


def read_cohort(folder: Path, progress: Callable[[int, int], None] | None = None) -> Cohort:
    """Read the tables of a cohort; no image is opened unless there is something to complain about.

    Args:
        folder: The cohort's folder, or its cohort.toml; where that is a link, the folder is the link's.
        progress: Called with (done, total) while images are checked, after the tables were found faulty.

    Returns:
        The cohort, its biopsies in the order of the table.

    Raises:
        InputError: Every problem of the tables; and since the user must come back anyway, every problem of
            the images that can be found by way of the rows that are sound.
    """
    cohort, problems = read_leniently(folder)
    if len(problems) and cohort.biopsies:
        check_images(cohort, problems, progress)
    problems.raise_any()
    return cohort


def read_leniently(folder: Path) -> tuple[Cohort, Problems]:
    """Read what can be read of the tables of a cohort, for those who report its problems beside others.

    Args:
        folder: As in `read_cohort`.

    Returns:
        The cohort with the rows that are sound, and what is wrong with the others; no image is opened.

    Raises:
        InputError: The cohort.toml is wrong, so that nothing can be known of the rest.
    """
    path = folder if is_plain(folder) else folder / FILE_NAME
    problems = Problems()
    cohort = _read_tables(path.parent, path.name, read_cohort_file(path), problems)
    return cohort, problems


def read_sites(cohort: Cohort, path: Path, progress: Callable[[int, int], None] | None = None) -> Cohort:
    """Other sites in a cohort's images, also of participants that its biopsies.tsv does not list.

    Args:
        cohort: The cohort; what lies where, and how positions are meant, is as it says.
        path: A table as biopsies.tsv, with the columns that the cohort's path templates name.
        progress: As in `read_cohort`.

    Returns:
        The cohort with these sites in place of its biopsies; no image is opened unless there is something to
        complain about.

    Raises:
        InputError: Every problem of the table, and each site without any image; as `read_cohort`.
    """
    problems = Problems()
    # What is quoted in problems from here on is the table that was read, and second scans are not looked at.
    file = cohort.file.model_copy(update={"biopsies": path.name, "expression": None, "repeats": None})
    table = read_table(path, problems)
    sites: tuple[Biopsy, ...] = ()
    named = {name for _, template in file.templates() for name in placeholders(template)} - {"sequence"}
    if table is not None and require_columns(table, dict.fromkeys((*_NEEDED, *sorted(named))), problems):
        sites = _read_biopsies(table, file, problems)
    found = replace(cohort, biopsies=sites, expression=None, file=file)
    _check_each(found, problems)
    if len(problems) and sites:
        check_images(found, problems, progress)
    problems.raise_any()
    return found


def _read_tables(root: Path, name: str, file: CohortFile, problems: Problems) -> Cohort:
    biopsies: tuple[Biopsy, ...] = ()
    places = Places(root, file.follow_links)
    own = places.at(root / name, name)
    if own.problem is not None:
        problems.add(name, own.problem)
    table = _read_table(places, root, file.biopsies, problems)
    if table is not None:
        sound = require_columns(table, _NEEDED, problems)
        if _placeholders_are_known(name, file, table, problems) and sound:
            biopsies = _read_biopsies(table, file, problems)
    expression = None
    if file.expression is not None:
        known = {biopsy.biopsy_id for biopsy in biopsies}
        table = _read_table(places, root, file.expression, problems)
        expression = None if table is None else _read_expression(table, known, problems)
    cohort = Cohort(file.name, root, file.sequences, biopsies, file.coordinates, expression, file)
    _check_presence(cohort, name, problems)
    return cohort


def _read_table(places: Places, root: Path, written: str, problems: Problems) -> Table | None:
    """A table of the cohort, None where it is of no use."""
    place = places.at(root / written, written)
    if place.problem is not None:
        problems.add(written, place.problem)
        return None
    return read_table(root / written, problems)


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
    for column in sorted(required | in_paths):
        law = _law_of_name(columns[column], column in required, column in in_paths)
        if law is not None:
            problems.add(table.where(row, column), f"{law}, but got '{columns[column]}'.")
    if len(problems) > before:
        return None
    x, y, z = position
    return Biopsy(
        columns["biopsy_id"], columns["participant_id"], (x, y, z), row.number, MappingProxyType(columns)
    )


def _law_of_name(value: str, required: bool, in_path: bool) -> str | None:
    """The law that an id, or a value that becomes part of a path, breaks."""
    if required and value in ("", MISSING):
        return "a value is needed"
    if in_path and value != MISSING and not is_plain_name(value):
        return "must be a plain name, as it is part of a path"
    return None if value.isprintable() else "must be plain text, without control characters"


def _read_expression(table: Table, known: set[str], problems: Problems) -> Expression | None:
    if not require_columns(table, ["biopsy_id"], problems):
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
            value = parse_number(cell)
        except InputError as error:
            problems.add(table.where(row, table.columns[column]), f"{error} Write n/a for a missing value.")
            continue
        if not 0 <= value <= _MAX_EXPRESSION:
            law = "be negative" if value < 0 else f"exceed {_MAX_EXPRESSION:g}"
            problems.add(table.where(row, table.columns[column]), f"expression cannot {law}, but got {cell}.")
        values[column] = value
    return np.delete(values, key)


def _check_presence(cohort: Cohort, name: str, problems: Problems) -> None:
    """Every biopsy needs an image, every sequence somebody who has it."""
    present, refused = _check_each(cohort, problems)
    if not cohort.biopsies or refused:
        return
    for sequence in cohort.sequences:
        if sequence not in present:
            example = cohort.label_of(cohort.image_path(cohort.biopsies[0], sequence))
            problems.add(
                f"{name}: sequences",
                f"somebody must have '{sequence}', but no file exists, such as {example}.",
            )
    _check_masks(cohort, name, problems)


def _check_each(cohort: Cohort, problems: Problems) -> tuple[set[str], bool]:
    """Every biopsy needs an image; the sequences that somebody has, and whether a file was refused."""
    present: set[str] = set()
    refused = False
    for biopsies in cohort.by_columns_of_paths():
        here = set(cohort.images(biopsies[0], cohort.sequences))
        present |= here
        for place in cohort.refused(biopsies[0]):
            refused = True
            problems.add(cohort.label_of(place.where), place.problem or "")
        for biopsy in biopsies if not here else ():
            note_no_image(cohort, biopsy, problems)
    return present, refused


def _check_masks(cohort: Cohort, name: str, problems: Problems) -> None:
    """A mask that is declared and that nobody has is a mistake in its path."""
    present = set().union(*(cohort.masks(biopsy) for biopsy in cohort.biopsies))
    for mask in MASKS:
        paths = [cohort.mask_path(biopsy, mask) for biopsy in cohort.biopsies]
        declared = [path for path in paths if path is not None]
        if declared and mask not in present:
            problems.add(
                f"{name}: masks.{mask}",
                f"somebody must have it, but no file exists, such as {cohort.label_of(declared[0])}.",
            )
