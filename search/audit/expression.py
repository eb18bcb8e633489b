"""Whether one tissue sample stands in the expression table under two biopsy ids."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from data_prep.arrays import DoubleArray, IntArray
from data_prep.patches import PatchSet
from data_prep.records import Expression
from search.audit.record import NOT_APPLICABLE, PASSED, SUSPICIOUS, Check

NAME = "duplicate expression"
BY_CHANCE = 0.01  # pairs of equal rows that a cohort may have by chance; a judgement


def check_expression(patches: PatchSet, expression: Expression | None) -> Check:
    """Biopsies with equal values of every gene.

    Coarse values are equal by chance. A row tells a sample where the digits that it writes out (zeros and
    genes that are the same for all aside) could spell 100 times as many values as there are pairs of
    biopsies; other rows count only where the patches are equal, too, to the voxel.
    """
    if expression is None:
        return Check(NAME, NOT_APPLICABLE, "The cohort has no expression table.")
    place = {name: row for row, name in enumerate(expression.biopsy_id)}
    values = expression.values[[place[name] for name in patches.biopsy_id]]
    telling = digits_of(values) >= digits_needed(len(values))
    found = [
        pair
        for pair in _equal_rows(values)
        if telling[pair[0]] or np.array_equal(patches.raw[pair[0]], patches.raw[pair[1]])
    ]
    who, names = patches.participant_id, patches.biopsy_id
    figures = {
        "pairs": [{"biopsies": [names[a], names[b]], "participants": [who[a], who[b]]} for a, b in found],
        "biopsies": len(values),
        "rows_that_tell": int(telling.sum()),
        "digits_needed": digits_needed(len(values)),
    }
    if not found:
        text = (
            f"No two of {len(values)} biopsies are one sample ({figures['rows_that_tell']} have digits "
            "enough to tell by expression alone, the others only by equal patches beside it)."
        )
        return Check(NAME, PASSED, text, figures=figures)
    a, b = found[0]
    more = f"; {len(found) - 1} more such pairs" if len(found) > 1 else ""
    text = (
        f"{{0}} ({{1}}) and {{2}} ({{3}}) have the same value of every gene: one sample under two ids?{more}"
    )
    return Check(NAME, SUSPICIOUS, text, (names[a], who[a], names[b], who[b]), figures)


def digits_needed(biopsies: int) -> int:
    """Digits from which chance makes at most one pair of equal rows in 100 cohorts of a size.

    >>> digits_needed(150)
    7
    """
    pairs = max(biopsies * (biopsies - 1) // 2, 1)
    return int(np.ceil(np.log10(pairs / BY_CHANCE)))


def digits_of(values: DoubleArray) -> IntArray:
    """Significant digits that each row writes out, shape (n,); zeros and genes equal for all have none.

    >>> digits_of(np.array([[0.4, 12.305, 7.0], [0.0, 1200.0, 7.0]])).tolist()
    [6, 2]
    """
    varies = [len(set(column[np.isfinite(column)].tolist())) > 1 for column in values.T]
    rows = values[:, varies].tolist()
    return np.array([sum(_digits(value) for value in row) for row in rows], dtype=np.int64)


def _digits(value: float) -> int:
    if not np.isfinite(value) or value == 0:
        return 0
    mantissa = f"{abs(value):.15g}".partition("e")[0].replace(".", "").lstrip("0")
    return len(mantissa.rstrip("0"))


def _equal_rows(values: DoubleArray) -> list[tuple[int, int]]:
    groups: dict[bytes, list[int]] = {}
    for row, each in enumerate(values + 0.0):  # one spelling of zero
        groups.setdefault(each.tobytes(), []).append(row)
    return [pair for rows in groups.values() for pair in combinations(rows, 2)]
