"""The user's table of expression, either way round, read into rows of expression.tsv."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from data_prep.arrays import DoubleArray
from data_prep.importing.looks import are_tpm, suspicions
from data_prep.importing.matrix import Matrix, read_matrix
from data_prep.importing.records import BiopsyTable, ImportOptions, LeftOut
from data_prep.importing.sheets import is_missing, read_sheet
from data_prep.importing.tpm import Lengths, first_of_each, lengths_of, read_lengths, summed, to_tpm
from data_prep.problems import Problems, named, nearest

_SHOWN = 10


@dataclass(frozen=True)
class ExpressionTable:
    """Expression by biopsy.

    Attributes:
        genes: Names, unique.
        values: Shape (genes,) by biopsy id; NaN where there is none.
        notes: What was taken for granted, and what else a user should know.
        warnings: What is probably a mistake.
        left_out: Samples and columns that are not in it.
    """

    genes: tuple[str, ...]
    values: Mapping[str, DoubleArray]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    left_out: tuple[LeftOut, ...]


def read_expression(
    options: ImportOptions, biopsies: BiopsyTable | None, problems: Problems
) -> ExpressionTable | None:
    """Read the expression of the biopsies.

    Args:
        options: What was asked for, with `expression`.
        biopsies: The biopsies; None where nothing is known of them.
        problems: Receives all that is wrong.

    Returns:
        None where nothing can be made of it.
    """
    samples = None if biopsies is None else _samples(options, biopsies, problems)
    if biopsies is None or samples is None:
        matrix = None
        read_sheet(options.expression or "", problems, row_names=True)
    else:
        matrix = read_matrix(options, biopsies, samples, problems)
    lengths = read_lengths(options.gene_lengths, problems) if options.gene_lengths else None
    if matrix is None or (options.gene_lengths and lengths is None):
        return None
    warnings = _warnings(matrix, lengths)
    made = _unique_genes(matrix, lengths, options.duplicate_genes, problems)
    if made is None or samples is None:
        return None
    genes, values, notes = made
    by_biopsy = {samples[name]: values[row] for row, name in enumerate(matrix.samples)}
    return ExpressionTable(genes, by_biopsy, (*matrix.notes, *notes), warnings, matrix.left_out)


def _samples(options: ImportOptions, biopsies: BiopsyTable, problems: Problems) -> dict[str, str] | None:
    """Biopsy id by the name of its sample; None where ids or names are not known."""
    column = options.expression_id
    samples: dict[str, str] = {}
    if any("biopsy_id" not in row for row in biopsies.rows.values()):
        return None
    for number, row in biopsies.rows.items():
        source = biopsies.source_rows[number]
        if column is not None and column not in source:
            problems.add("--expression-id", f"unknown column '{column}'; {nearest(column, source)}.")
            return None
        name = row["biopsy_id"] if column is None else source[column]
        if is_missing(name):
            continue
        if name in samples and column is not None:  # ids that are there twice are noted already
            problems.add(
                f"{biopsies.name}: row {number}, column {column}",
                f"a sample belongs to one biopsy, but '{name}' is also that of {samples[name]}.",
            )
        samples[name] = row["biopsy_id"]
    return samples


def _warnings(matrix: Matrix, lengths: Lengths | None) -> tuple[str, ...]:
    if lengths is None:
        return suspicions(matrix.values)
    if are_tpm(matrix.values):
        return (
            f"{matrix.name} sums to a million in every sample: it is TPM already, leave --gene-lengths out",
        )
    return ()


def _unique_genes(
    matrix: Matrix, lengths: Lengths | None, rule: str, problems: Problems
) -> tuple[tuple[str, ...], DoubleArray, list[str]] | None:
    """Names and values of the genes, TPM where there are lengths, each name once."""
    before = len(problems)
    genes, values, notes = list(matrix.genes), matrix.values, []
    names = genes if lengths is None else _names(genes, lengths)
    if names != genes:
        changed = sum(one != other for one, other in zip(names, genes, strict=True))
        notes.append(f"{changed} of {len(genes)} genes are named as in the table of lengths")
    repeated = [name for name, times in Counter(names).items() if times > 1]
    if repeated and rule == "error":
        problems.add(
            matrix.name,
            f"a gene must occur once, but {named(repeated, _SHOWN)} occur repeatedly. "
            "Say --duplicate-genes sum or first.",
        )
    if repeated and rule == "first":
        kept = first_of_each(names)
        genes, names, values = [genes[k] for k in kept], [names[k] for k in kept], values[:, kept]
    if repeated and rule != "error":
        done = "added up" if rule == "sum" else "taken from their first row"
        notes.append(f"{len(repeated)} genes are there repeatedly and were {done}: {named(repeated, _SHOWN)}")
    if lengths is not None:
        values = _tpm(matrix, genes, values, lengths, problems)
        notes.append("counts were made TPM by the table of lengths")
    if len(problems) > before:
        return None
    if repeated and rule == "sum":
        values, names = summed(values, names), list(dict.fromkeys(names))
    return tuple(names), values, notes


def _tpm(
    matrix: Matrix, genes: Sequence[str], counts: DoubleArray, lengths: Lengths, problems: Problems
) -> DoubleArray:
    known = lengths_of(genes, lengths, matrix.name, problems)
    for row, sample in enumerate(matrix.samples):
        unknown = [gene for gene, value in zip(genes, counts[row], strict=True) if np.isnan(value)]
        if unknown:
            problems.add(
                f"{matrix.name}: {sample}",
                f"every gene needs a count, but {named(unknown, _SHOWN)} have none.",
            )
        elif counts[row].sum() == 0:
            problems.add(f"{matrix.name}: {sample}", "some gene needs a count above 0, but all are 0.")
    with np.errstate(invalid="ignore", divide="ignore"):  # noted above
        return to_tpm(counts, known)


def _names(genes: Sequence[str], lengths: Lengths) -> list[str]:
    """Names from the table of lengths; a gene that has none keeps its own."""
    return [lengths.names.get(lengths.key_of(gene) or gene, gene) for gene in genes]
