"""What is wrong with a table of expression: genes and samples that are silent, constant, missing or copied.

In what unit its numbers are, `units` tells.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from data_prep.arrays import BoolArray
from data_prep.check.findings import Finding
from data_prep.check.units import CHOSEN, unit_findings, varying
from data_prep.problems import named
from data_prep.records import Cohort, Expression

_LEAST_ROWS: Final = 3  # that hold one value before it is no chance


def expression_findings(cohort: Cohort) -> Iterator[Finding]:
    """Findings on the values of the expression table; on negative ones `table_lines` tells."""
    table = cohort.expression
    if table is None or not table.values.size:
        return
    if not np.isfinite(table.values).any():
        yield Finding(
            "error",
            "expression-missing",
            table.file,
            "some value must be there, but every cell is n/a.",
            "Fill the table, or remove `expression` from cohort.toml: the cohort can be predicted on then.",
        )
        return
    yield from _silent_genes(table)
    yield from _constant_genes(table)
    yield from _silent_samples(table, {b.biopsy_id: b.participant_id for b in cohort.biopsies})
    yield from unit_findings(table)
    yield from _equal_samples(table, {b.biopsy_id: b.participant_id for b in cohort.biopsies})


def _silent_genes(table: Expression) -> Iterator[Finding]:
    known = np.isfinite(table.values)
    measured = np.asarray(known.any(axis=0))
    absent = _names(table.genes, ~measured)
    if absent:
        yield _of_genes(
            table,
            absent,
            "gene-missing",
            f"a gene needs values, but {named(absent)} has n/a in every row.",
            "Fill the column, or remove it.",
        )
    expressed = np.asarray((np.nan_to_num(table.values) != 0).any(axis=0))
    silent = _names(table.genes, measured & ~expressed)
    if silent:
        yield _of_genes(
            table,
            silent,
            "gene-silent",
            f"a gene must be expressed somewhere, but {named(silent)} is 0 in every biopsy.",
            "Nothing can be learnt of it: look for a wrong gene name in the step that wrote the table.",
        )


def _constant_genes(table: Expression) -> Iterator[Finding]:
    """Genes with one value other than 0 in all of three samples or more."""
    known = np.isfinite(table.values)
    constant = (known.sum(axis=0) >= _LEAST_ROWS) & ~varying(table.values)
    constant &= (np.nan_to_num(table.values) != 0).any(axis=0)
    names = _names(table.genes, np.asarray(constant))
    if names:
        yield _of_genes(
            table,
            names,
            "gene-constant",
            f"a gene must vary, but {named(names)} has one value in every biopsy.",
            "Nothing can be learnt of it: look at the step that wrote the table.",
        )


def _of_genes(table: Expression, names: Sequence[str], code: str, what: str, advice: str) -> Finding:
    """A finding on genes: chosen ones should tell something, of a transcriptome some never do."""
    severity = "warning" if len(table.genes) < CHOSEN else "note"
    return Finding(severity, code, f"{table.file}: column {names[0]}", what, advice)


def _names(names: Sequence[str], chosen: BoolArray) -> list[str]:
    return [name for name, is_chosen in zip(names, chosen, strict=True) if is_chosen]


def _silent_samples(table: Expression, owner: dict[str, str]) -> Iterator[Finding]:
    """Samples that are 0 in all genes: wrong where some gene is expressed in all others, else one note."""
    known, values = np.isfinite(table.values), np.nan_to_num(table.values)
    silent = known.any(axis=1) & ~(values != 0).any(axis=1)
    others = values[~silent & known.any(axis=1)]
    if not len(others):  # a table of zeros: its genes are told
        return
    places = np.flatnonzero(silent)
    if (others > 0).all(axis=0).any():
        for row in places:
            yield _silent(table, [int(row)], owner, ", one of which is expressed in all other samples")
    elif len(places):
        yield _silent(table, places.tolist(), owner, "")


def _silent(table: Expression, rows: Sequence[int], owner: dict[str, str], why: str) -> Finding:
    names = [table.biopsy_id[row] for row in rows]
    people = {owner[name] for name in names if name in owner}
    quoted = named([f"'{name}'" for name in names])
    return Finding(
        "warning" if why else "note",
        "sample-silent",
        f"{table.file}: row {_row(table, rows[0])}",
        f"a sample must express something, but {quoted} {'is' if len(rows) == 1 else 'are'} 0 in all "
        f"{len(table.genes)} genes{why}.",
        "Write n/a where the sample was not measured: 0 is taken as measured.",
        people.pop() if len(people) == 1 else None,
        tuple(name for name in names if name in owner),
    )


def _row(table: Expression, row: int | np.integer) -> int:
    """As an editor counts it, where no line of the table is empty or left out."""
    return int(row) + 2


def _equal_samples(table: Expression, owner: dict[str, str]) -> Iterator[Finding]:
    """Rows that agree in all genes, of which at least three are expressed and some vary between others."""
    rows: dict[bytes, list[int]] = {}
    for row, values in enumerate(table.values if varying(table.values).any() else ()):
        if np.count_nonzero(np.nan_to_num(values)) >= 3:
            rows.setdefault(values.tobytes(), []).append(row)
    for group in rows.values():
        names = [table.biopsy_id[row] for row in group]
        if len(set(names)) > 1:
            yield Finding(
                "warning",
                "sample-copied",
                f"{table.file}: row {_row(table, group[1])}",
                f"each sample is measured by itself, but {named(names)} agree in every gene.",
                "Was one tissue entered twice, or a row copied? Keep one of them.",
                owner.get(names[1]),
                tuple(name for name in names if name in owner),
            )
