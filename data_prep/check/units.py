"""In what unit a table of expression is: TPM, logarithms of it, or counts.

A table holds any number of genes. What can be told only of a whole transcriptome (that TPM of a sample sum to
one million) is not asked of a few genes; that no sum exceeds a million holds for any.

What cannot be told: logarithms of genes that are hardly expressed (log2 of CD3D alone looks like a weak
gene), counts of a few genes from TPM that were rounded, and counts that were scaled and are whole no more.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from data_prep.arrays import BoolArray, DoubleArray
from data_prep.check.findings import Finding
from data_prep.records import Expression

MILLION: Final = 1e6
_ROUNDED: Final = 1.001  # of a sum of 60,000 rounded numbers
_NEAR: Final = 0.02  # of a million: what rounding takes from the sum of a transcriptome

LOGGED_TOP: Final = 20.0
"""log2(one million + 1) is 19.93: no logarithm of a TPM exceeds it."""

LOGGED_SPREAD: Final = 0.4
"""Deviation over mean, the median of the expressed genes. In 165 gliomas and 20 genes it is 1.27, that
of their logarithms 0.20 to 0.24."""

LOGGED_SLOPE: Final = 0.75
"""Of the logarithm of a gene's deviation on that of its median: about 1 in TPM, about 0 in logarithms."""

_EXPRESSED: Final = 3.0  # median, from which a logarithm changes the spread much
_LEVELS: Final = 3.0  # between the medians of the weakest and the strongest gene, for that slope
_LEAST_ROWS: Final = 8  # of a spread

CHOSEN: Final = 1000
"""Genes, below which a table holds chosen ones: of a whole transcriptome a third is silent in any tissue."""

_LEAST_NUMBERS: Final = 20  # that are whole before it is no chance


def unit_findings(table: Expression) -> Iterator[Finding]:
    """A warning where a table is not TPM, a note where it may be something else."""
    values = table.values[:, varying(table.values)]
    if not np.isfinite(values).any():
        return
    if largest_sum(values) > MILLION * _ROUNDED:
        why = f"TPM of a sample sum to one million at most, but some row sums to {largest_sum(values):.3g}"
        yield _counted(table, "warning", why)
    elif _are_whole(values):
        if len(table.genes) < CHOSEN:
            yield _counted(table, "note", "all values are whole numbers", "looks like counts or was rounded")
        elif not _sum_to_million(table.values):
            yield _counted(table, "warning", "all values are whole numbers")
    else:
        yield from _logged(table, values)


def varying(values: DoubleArray) -> BoolArray:
    """Which genes, shape (genes,), have more than one value; NaN is none."""
    low = np.where(np.isfinite(values), values, np.inf).min(axis=0, initial=np.inf)
    high = np.where(np.isfinite(values), values, -np.inf).max(axis=0, initial=-np.inf)
    return np.asarray(high > low)


def largest_sum(values: DoubleArray) -> float:
    """The greatest sum of a sample."""
    return float(np.nansum(values, axis=1).max())


def _counted(table: Expression, severity: str, why: str, looks: str = "looks like counts") -> Finding:
    return Finding(
        severity,
        "expression-counts",
        table.file,
        f"TPM are needed, but the table {looks}: {why}.",
        "Counts grow with gene length and sequencing depth: turn them to TPM with `radsearch import`.",
    )


def _logged(table: Expression, values: DoubleArray) -> Iterator[Finding]:
    top = float(np.nanmax(values))
    columns = [column[np.isfinite(column)] for column in values.T]
    columns = [column for column in columns if len(column) >= _LEAST_ROWS and np.median(column) > 0]
    expressed = [column for column in columns if np.median(column) >= _EXPRESSED]
    if top > LOGGED_TOP or not expressed:
        return
    if float(np.median([column.std() / column.mean() for column in expressed])) >= LOGGED_SPREAD:
        return
    slope = _slope(columns)
    if slope is None or slope < LOGGED_SLOPE:
        yield Finding(
            "note" if slope is None else "warning",
            "expression-logged",
            table.file,
            f"TPM are needed, but no value exceeds {top:.4g} and expressed genes vary little: the table "
            f"looks logged{', or its genes are steady' if slope is None else ''}.",
            "Write 2^x - 1 (or what undoes your logarithm): labels take the logarithm themselves.",
        )


def _slope(columns: list[DoubleArray]) -> float | None:
    """How fast deviations grow with medians; None of genes that are all expressed alike."""
    medians = np.array([np.median(column) for column in columns])
    if medians.max() < _LEVELS * medians.min():
        return None
    deviations = np.array([column.std() for column in columns])
    return float(np.polyfit(np.log(medians), np.log(deviations), 1)[0])


def _are_whole(values: DoubleArray) -> bool:
    """Whether there are enough numbers other than 0 and 1, all of them whole."""
    found = values[np.isfinite(values)]
    return bool(np.count_nonzero(found > 1) >= _LEAST_NUMBERS and (found == np.round(found)).all())


def _sum_to_million(values: DoubleArray) -> bool:
    return bool(abs(float(np.median(np.nansum(values, axis=1))) / MILLION - 1) < _NEAR)
