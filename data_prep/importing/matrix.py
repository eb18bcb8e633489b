"""A table of numbers, genes x samples or samples x genes, turned to samples x genes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from data_prep.arrays import DoubleArray
from data_prep.importing.numerals import Numerals, numerals_of
from data_prep.importing.records import BiopsyTable, ImportOptions, LeftOut
from data_prep.importing.sheets import Sheet, is_missing, read_sheet
from data_prep.problems import InputError, Problems, nearest

ORIENTATIONS = ("genes-x-samples", "samples-x-genes")

_DATE = re.compile(r"\d{4}-\d\d-\d\d(T[\d:.]+)?|\d{1,2}-[A-Z][a-z]{2}|[A-Z][a-z]{2}-\d{1,2}")
# Reads that no gene has, as HTSeq and STAR write them among the genes.
_SUMMARY = re.compile(r"__\w+|N_(unmapped|multimapping|noFeature|ambiguous)")
_MOST_CELLS = 20  # named one by one


@dataclass(frozen=True, eq=False)
class Matrix:
    """Expression of the samples that belong to biopsies.

    Attributes:
        name: The table, as problems quote it.
        samples: Names of the samples, in the order of the biopsies.
        genes: Names of the genes, not necessarily unique.
        values: Shape (samples, genes), NaN where there is none.
        notes: What was taken for granted, and what else a user should know.
        left_out: Samples without a biopsy, and columns that hold no numbers.
    """

    name: str
    samples: tuple[str, ...]
    genes: tuple[str, ...]
    values: DoubleArray
    notes: tuple[str, ...]
    left_out: tuple[LeftOut, ...]


@dataclass(frozen=True)
class _Side:
    """Where the names and the numbers of a table are.

    Attributes:
        key: Position of the column that names the rows.
        columns: Positions of the columns of numbers.
        rows: Positions of the rows of numbers.
        left_out: Positions of columns that are neither.
        genes_are_rows: Whether the rows are genes.
    """

    key: int
    columns: tuple[int, ...]
    rows: tuple[int, ...]
    left_out: tuple[int, ...]
    genes_are_rows: bool


def read_matrix(
    options: ImportOptions, biopsies: BiopsyTable, samples: Mapping[str, str], problems: Problems
) -> Matrix | None:
    """Read the table.

    Args:
        options: `expression`, `orientation`, `gene_column`, `decimal_comma`, `drop`.
        biopsies: For a hint where no sample is known.
        samples: Known samples in the order of the biopsies; their values are not looked at.
        problems: Receives all that is wrong.

    Returns:
        None where nothing can be made of it.
    """
    sheet = read_sheet(options.expression or "", problems, row_names=True)
    if sheet is None:
        return None
    before = len(problems)
    genes_are_rows = _orientation(sheet, options, biopsies, samples, problems)
    if genes_are_rows is None:
        return None
    if genes_are_rows:
        side = _genes_in_rows(sheet, options, samples, problems)
    else:
        side = _genes_in_columns(sheet, options.drop, samples)
        if options.gene_column is not None:
            problems.add("--gene-column", f"genes are the columns of {sheet.name}. Remove it.")
    if side is None:
        return None
    _check_names(sheet, side, problems)
    numerals = _numerals(sheet, side, options.decimal_comma, problems)
    if numerals is None:
        return None
    values = _values(sheet, side, numerals, problems)
    return _matrix(sheet, side, values, numerals.comma, samples) if len(problems) == before else None


def _orientation(
    sheet: Sheet,
    options: ImportOptions,
    biopsies: BiopsyTable,
    samples: Mapping[str, str],
    problems: Problems,
) -> bool | None:
    """Whether the rows are genes: told, or because the columns are named as samples."""
    if options.orientation is not None:
        return options.orientation == ORIENTATIONS[0]
    across = len(samples.keys() & set(sheet.columns))
    down = _hits(sheet, _key(sheet, samples), samples)
    if across and down:
        problems.add(
            sheet.name,
            f"one axis must name the samples, but {across} columns and {down} rows do. Say --orientation "
            f"{ORIENTATIONS[0]} or {ORIENTATIONS[1]}.",
        )
        return None
    if not across and not down:
        problems.add(sheet.name, _strangers(sheet, biopsies, samples))
        return None
    return across > 0


def _hits(sheet: Sheet, column: int, samples: Iterable[str]) -> int:
    return len({row.cells[column] for row in sheet.rows} & set(samples))


def _key(sheet: Sheet, samples: Mapping[str, str]) -> int:
    """The column that names most samples, the first where none does."""
    return max(range(len(sheet.columns)), key=lambda column: _hits(sheet, column, samples))


def _strangers(sheet: Sheet, biopsies: BiopsyTable, samples: Mapping[str, str]) -> str:
    """No sample is known: say so, and which column of the table of biopsies would know them."""
    here = set(sheet.columns) | {row.cells[0] for row in sheet.rows}
    records = list(biopsies.source_rows.values())
    columns = list(records[0]) if records else []
    hits = {
        column: len(here & {r[column] for r in records if not is_missing(r[column])}) for column in columns
    }
    best = max(hits, key=lambda column: hits[column], default=None)
    hint = "Name the column of the table of biopsies with --expression-id."
    if best is not None and hits[best]:
        hint = f"Column '{best}' of {biopsies.name} has {hits[best]} of them: say --expression-id {best!r}."
    if pairs := _but_for_case(here, samples):
        hint = f"Samples match as they are written: {pairs}."
    example = next(iter(samples), "none")
    found = ", ".join(sheet.columns[:3])
    first = ", ".join(row.cells[0] for row in sheet.rows[:3])
    return (
        f"one axis must name the samples, such as '{example}', but its columns are {found}, ... and its rows "
        f"{first}, ... {hint}"
    )


def _genes_in_rows(
    sheet: Sheet, options: ImportOptions, samples: Mapping[str, str], problems: Problems
) -> _Side | None:
    free = [i for i, column in enumerate(sheet.columns) if column not in options.drop]
    known = tuple(i for i in free if sheet.columns[i] in samples)
    others = [i for i in free if i not in known]
    if options.gene_column is not None:
        if options.gene_column not in sheet.columns:
            hint = nearest(options.gene_column, sheet.columns)
            problems.add("--gene-column", f"unknown column '{options.gene_column}'; {hint}.")
            return None
        others.sort(key=lambda i: sheet.columns[i] != options.gene_column)
    if not others:
        problems.add(sheet.name, "a column must name the genes, but all of them name samples.")
        return None
    key = others[0]
    rows = tuple(i for i, row in enumerate(sheet.rows) if not _SUMMARY.fullmatch(row.cells[key]))
    left_out = tuple(i for i in range(len(sheet.columns)) if i != key and i not in known)
    return _Side(key, known, rows, left_out, True)


def _genes_in_columns(sheet: Sheet, drop: Sequence[str], samples: Mapping[str, str]) -> _Side:
    key = _key(sheet, samples)
    rows = tuple(i for i, row in enumerate(sheet.rows) if row.cells[key] in samples)
    genes: list[int] = []
    texts: list[int] = []
    for i, column in enumerate(sheet.columns):
        if i != key:
            cells = [cell for r in rows if not is_missing(cell := sheet.rows[r].cells[i])]
            is_gene = not (column in drop or _SUMMARY.fullmatch(column)) and (
                not cells or any(map(_is_numeric, cells))
            )
            (genes if is_gene else texts).append(i)
    return _Side(key, tuple(genes), rows, tuple(texts), False)


def _is_numeric(cell: str) -> bool:
    return bool(re.fullmatch(r"[+-]?[\d.,]+([eE][+-]?\d+)?", cell))


def _check_names(sheet: Sheet, side: _Side, problems: Problems) -> None:
    """Samples occur once; genes have names, and not those that Excel made dates of."""
    across = [(sheet.header, sheet.columns[c]) for c in side.columns]
    down = [(sheet.rows[r].number, sheet.rows[r].cells[side.key]) for r in side.rows]
    genes, samples = (down, across) if side.genes_are_rows else (across, down)
    for name, times in Counter(name for _, name in samples).items():
        if times > 1:
            problems.add(sheet.name, f"a sample must occur once, but '{name}' occurs {times} times.")
    for row, name in genes:
        if is_missing(name):
            problems.add(sheet.where(row, sheet.columns[side.key]), f"a gene needs a name, but got '{name}'.")
        elif name == "biopsy_id":
            problems.add(
                f"{sheet.name}: row {row}",
                "a gene's name is needed, but got 'biopsy_id', which is a column of the cohort's own.",
            )
        elif _DATE.fullmatch(name):
            problems.add(
                f"{sheet.name}: row {row}",
                f"a gene's name is needed, but got '{name}': Excel turned a name such as SEPT2 into a date. "
                "Export the table anew, with text cells.",
            )


def _numerals(sheet: Sheet, side: _Side, decimal_comma: bool, problems: Problems) -> Numerals | None:
    cells = (sheet.rows[r].cells[c] for r in side.rows for c in side.columns)
    try:
        return numerals_of(cells, sheet.typed, sheet.semicolons, decimal_comma)
    except InputError as error:
        problems.add(sheet.name, str(error))
        return None


def _values(sheet: Sheet, side: _Side, numerals: Numerals, problems: Problems) -> DoubleArray:
    """Numbers by rows and columns of the table."""
    values = np.full((len(side.rows), len(side.columns)), np.nan)
    bad = 0
    for i, r in enumerate(side.rows):
        for j, c in enumerate(side.columns):
            law = _law(sheet.rows[r].cells[c], numerals)
            if isinstance(law, float):
                values[i, j] = law
                continue
            bad += 1
            if bad <= _MOST_CELLS:
                problems.add(sheet.where(sheet.rows[r].number, sheet.columns[c]), law)
    if bad > _MOST_CELLS:
        problems.add(sheet.name, f"{bad - _MOST_CELLS} more cells are no expression.")
    return values


def _law(cell: str, numerals: Numerals) -> float | str:
    """The value of a cell, NaN where it has none, or what is wrong with it."""
    if is_missing(cell):
        return float("nan")
    try:
        value = numerals.number(cell)
    except InputError as error:
        return str(error)
    if value < 0:
        return (
            f"expression cannot be negative, but got {cell}. Is it logged or centred? Export TPM or counts."
        )
    return value


def _matrix(
    sheet: Sheet, side: _Side, values: DoubleArray, commas: bool, samples: Mapping[str, str]
) -> Matrix:
    across = [sheet.columns[c] for c in side.columns]
    down = [sheet.rows[r].cells[side.key] for r in side.rows]
    genes, named = (down, across) if side.genes_are_rows else (across, down)
    if side.genes_are_rows:
        values = values.T
    place = {name: row for row, name in enumerate(named)}
    kept = [name for name in samples if name in place]
    left_out = [LeftOut(f"{sheet.name}: column {sheet.columns[c]}", _WHY_COLUMN) for c in side.left_out]
    used = set(side.rows)
    for i, row in enumerate(sheet.rows):
        if i not in used:
            name = row.cells[side.key]
            why = f"'{name}' is no gene" if side.genes_are_rows else f"no biopsy has the sample '{name}'"
            left_out.append(LeftOut(f"{sheet.name}: row {row.number}", why))
    turned = ORIENTATIONS[0 if side.genes_are_rows else 1].replace("-x-", " x ")
    note = f"{sheet.name} is {turned}; column '{sheet.columns[side.key]}' names its rows"
    return Matrix(
        sheet.name,
        tuple(kept),
        tuple(genes),
        values[[place[name] for name in kept]],
        (
            note,
            *(("its decimal commas are read as points",) if commas else ()),
            *_case_notes(sheet, side, samples),
        ),
        tuple(left_out),
    )


def _case_notes(sheet: Sheet, side: _Side, samples: Mapping[str, str]) -> list[str]:
    """A hint where names that are left out are those of samples but for their case."""
    here = sheet.columns if side.genes_are_rows else [row.cells[side.key] for row in sheet.rows]
    pairs = _but_for_case(here, samples)
    return [f"{sheet.name}: {pairs}; samples match as they are written alone"] if pairs else []


def _but_for_case(here: Iterable[str], samples: Mapping[str, str]) -> str:
    """Names that are no samples and differ from one in case alone."""
    names = set(here)
    folded = {name.casefold(): name for name in samples if name not in names}
    pairs = [(name, folded[name.casefold()]) for name in sorted(names) if name.casefold() in folded]
    return ", ".join(
        f"'{name}' differs from '{sample}' in case alone" for name, sample in pairs[:_MOST_CELLS]
    )


_WHY_COLUMN = "it names no sample of a biopsy, or no gene"
