"""Counts to transcripts per million, and genes that are in a table twice.

References:
    B. Li et al., Bioinformatics 26 (2010) 493: TPM_g = 10^6 (c_g / l_g) / sum_h (c_h / l_h).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from data_prep.arrays import DoubleArray
from data_prep.importing.numerals import numerals_of
from data_prep.importing.sheets import Sheet, is_missing, read_sheet
from data_prep.problems import InputError, Problems, named

_VERSION = re.compile(r"(ENS[A-Z]*G\d+)\.\d+(_PAR_Y)?")
# Usual names of columns, without case and marks, the most usual first.
_KEYS = ("geneid", "gene", "ensembl", "ensemblid", "ensemblgeneid", "id", "target", "targetid", "symbol")
_NAMES = ("symbol", "genesymbol", "genename", "hgncsymbol", "name", "externalgenename")
_LENGTHS = ("length", "genelength", "effectivelength", "efflength", "lengthbp", "bp", "exonlength")
_SHOWN = 10
_MOST_LENGTHS = 20  # that are wrong in one way, named one by one


@dataclass(frozen=True)
class Lengths:
    """Lengths of genes.

    Attributes:
        lengths: By the id of the gene, in any unit: TPM do not depend on it.
        names: Names by the same ids, where the table has them.
    """

    lengths: Mapping[str, float]
    names: Mapping[str, str]

    def key_of(self, gene: str) -> str | None:
        """The id under which a gene is known: as it is written, else without the version of an Ensembl id."""
        return next((key for key in (gene, unversioned(gene)) if key in self.lengths), None)


def unversioned(gene: str) -> str:
    """An Ensembl id without its version; anything else as it is.

    >>> unversioned("ENSG00000198851.9"), unversioned("H3.1")
    ('ENSG00000198851', 'H3.1')
    """
    match = _VERSION.fullmatch(gene)
    return match[1] + (match[2] or "") if match else gene


def read_lengths(text: str, problems: Problems) -> Lengths | None:
    """Read a table of genes and their lengths.

    Args:
        text: "FILE" or "FILE:SHEET", with a column of ids, one of lengths, and perhaps one of names.
        problems: Receives missing columns, lengths that are no positive numbers, and genes named twice.
    """
    sheet = read_sheet(text, problems)
    if sheet is None:
        return None
    keys = {
        re.sub(r"[^a-z0-9]", "", column.lower()): i for i, column in reversed([*enumerate(sheet.columns)])
    }
    id_column = next((keys[key] for key in _KEYS if key in keys), 0)
    length_column = next((keys[key] for key in _LENGTHS if key in keys), None)
    name_column = next((keys[key] for key in _NAMES if key in keys and keys[key] != id_column), None)
    if length_column is None:
        found = ", ".join(f"'{column}'" for column in sheet.columns)
        problems.add(f"{sheet.name}: row {sheet.header}", f"a column 'length' is needed, but got {found}.")
        return None
    return _lengths(sheet, id_column, length_column, name_column, problems)


def _lengths(
    sheet: Sheet, id_column: int, length_column: int, name_column: int | None, problems: Problems
) -> Lengths | None:
    try:
        numerals = numerals_of(
            (row.cells[length_column] for row in sheet.rows), sheet.typed, sheet.semicolons, False
        )
    except InputError as error:
        problems.add(f"{sheet.name}: column {sheet.columns[length_column]}", str(error))
        return None
    lengths: dict[str, float] = {}
    loose: dict[str, set[float]] = {}  # by ids without their version
    names: dict[str, str] = {}
    bad: dict[str, list[tuple[str, str]]] = {}
    for row in sheet.rows:
        gene, where = row.cells[id_column], sheet.where(row.number, sheet.columns[length_column])
        try:
            length = numerals.number(row.cells[length_column])
        except InputError as error:
            bad.setdefault("are no numbers", []).append((where, str(error)))
            continue
        if length <= 0:
            law = f"a length is above 0, but got {length:g}."
            bad.setdefault("are not above 0", []).append((where, law))
        if lengths.setdefault(gene, length) != length:
            law = f"a gene has one length, but '{gene}' has {lengths[gene]:g} and {length:g}."
            bad.setdefault("differ from the gene's first", []).append((where, law))
        loose.setdefault(unversioned(gene), set()).add(length)
        if name_column is not None and not is_missing(row.cells[name_column]):
            names.setdefault(gene, row.cells[name_column])
            names.setdefault(unversioned(gene), row.cells[name_column])
    for kind, lines in bad.items():
        for where, law in lines[:_MOST_LENGTHS]:
            problems.add(where, law)
        if len(lines) > _MOST_LENGTHS:
            problems.add(sheet.name, f"{len(lines) - _MOST_LENGTHS} more lengths {kind}.")
    certain = {gene: found.pop() for gene, found in loose.items() if len(found) == 1}
    return Lengths(certain | lengths, names)


def to_tpm(counts: DoubleArray, lengths: DoubleArray) -> DoubleArray:
    """Transcripts per million.

    Args:
        counts: Shape (samples, genes).
        lengths: Shape (genes,), above 0.

    Returns:
        Shape (samples, genes); every row sums to a million.
    """
    rates = counts / lengths
    return np.asarray(1e6 * (rates / rates.sum(axis=1, keepdims=True)))


def lengths_of(genes: Sequence[str], lengths: Lengths, where: str, problems: Problems) -> DoubleArray:
    """Lengths of genes, shape (genes,); those without one are a problem that names them."""
    keys = [lengths.key_of(gene) for gene in genes]
    missing = [gene for gene, key in zip(genes, keys, strict=True) if key is None]
    if missing:
        problems.add(
            where,
            f"every gene needs a length, but {len(missing)} of {len(genes)} have none in --gene-lengths: "
            f"{named(missing, _SHOWN)}. TPM of the others would be wrong: add them, or remove them from the "
            "counts.",
        )
    return np.array([1.0 if key is None else lengths.lengths[key] for key in keys])


def first_of_each(names: Sequence[str]) -> list[int]:
    """Positions of the first gene of each name."""
    first: dict[str, int] = {}
    for position, name in enumerate(names):
        first.setdefault(name, position)
    return list(first.values())


def summed(values: DoubleArray, names: Sequence[str]) -> DoubleArray:
    """Values of genes of one name added up.

    Args:
        values: Shape (samples, genes).
        names: Of the genes.

    Returns:
        Shape (samples, names), in the order of their first gene.
    """
    columns = {name: column for column, name in enumerate(dict.fromkeys(names))}
    total = np.zeros((len(values), len(columns)))
    for name, column in zip(names, values.T, strict=True):
        total[:, columns[name]] += column
    return total
