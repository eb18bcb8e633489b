from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from data_prep.patches import PatchSet
from data_prep.records import Expression
from search.audit.expression import check_expression, digits_needed, digits_of
from search.audit.record import NOT_APPLICABLE, PASSED, SUSPICIOUS
from search.audit.subject import Subject


def table(patches: PatchSet, values: np.ndarray) -> Expression:
    return Expression("expression.tsv", ("CD3D", "CD3E"), patches.biopsy_id, values)


def measured(patches: PatchSet) -> np.ndarray:
    """Values of six decimals."""
    return np.random.default_rng(0).lognormal(size=(len(patches), 2)).round(6)


def test_the_toy_cohort_passes_and_one_without_a_table_is_none(audited: Subject) -> None:
    patches = audited.material.patches
    assert check_expression(patches, audited.material.source.expression).verdict == PASSED
    assert check_expression(patches, None).verdict == NOT_APPLICABLE


@pytest.mark.parametrize("other", [10, 15])
def test_a_sample_that_is_labelled_twice_is_named(audited: Subject, other: int) -> None:
    """Of another participant, and of the same one."""
    patches = audited.material.patches
    values = measured(patches)
    values[other] = values[3]
    check = check_expression(patches, table(patches, values))
    assert check.verdict == SUSPICIOUS
    assert set(check.ids) == {
        *(patches.biopsy_id[row] for row in (3, other)),
        *(patches.participant_id[row] for row in (3, other)),
    }


def test_coarse_values_and_zeros_are_equal_by_chance_unless_the_patch_is_too(audited: Subject) -> None:
    patches = audited.material.patches
    coarse = np.random.default_rng(0).integers(0, 3, size=(len(patches), 2)) / 10
    assert check_expression(patches, table(patches, coarse)).verdict == PASSED
    assert check_expression(patches, table(patches, np.zeros_like(coarse))).verdict == PASSED
    raw = np.array(patches.raw)
    raw[15] = raw[3]
    coarse[15] = coarse[3]
    check = check_expression(replace(patches, raw=raw), table(patches, coarse))
    assert (check.verdict, check.ids[0], check.ids[2]) == (
        SUSPICIOUS,
        patches.biopsy_id[3],
        patches.biopsy_id[15],
    )


def test_a_gene_that_is_the_same_for_all_adds_no_digits() -> None:
    values = np.array([[1.234567, 0.5], [1.234567, 0.25], [1.234567, np.nan]])
    assert digits_of(values).tolist() == [1, 2, 0]


def test_by_chance_one_cohort_in_100_has_a_pair() -> None:
    rng = np.random.default_rng(0)
    rows, digits = 40, digits_needed(40)
    hits = [len(set(rng.integers(0, 10**digits, rows).tolist())) < rows for _ in range(2000)]
    assert np.mean(hits) <= 0.02
    assert digits_needed(1) == 2
