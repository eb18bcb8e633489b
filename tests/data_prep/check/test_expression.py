from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from data_prep.check.expression import expression_findings
from data_prep.check.findings import Finding
from data_prep.cohort import read_cohort
from data_prep.records import Expression
from tests.data_prep.check.subjects import biopsy, cohort

MEDIANS = np.array([1.0, 1.6, 0.9, 900.0, 40.0])


def tpm(seed: int, rows: int = 12, medians: np.ndarray = MEDIANS) -> np.ndarray:
    return medians * np.exp(np.random.default_rng(seed).normal(size=(rows, len(medians))))


def findings(values: np.ndarray) -> list[Finding]:
    names = [f"b{n}" for n in range(len(values))]
    table = Expression("e.tsv", tuple(f"g{n}" for n in range(values.shape[1])), tuple(names), values)
    rows = [biopsy(name, "sub-1", (0, 0, 0), n + 2) for n, name in enumerate(names)]
    return list(expression_findings(cohort(rows, expression=table)))


def codes(values: np.ndarray) -> list[tuple[str, str]]:
    return [(finding.severity, finding.code) for finding in findings(values)]


def test_a_silent_sample_is_wrong_where_others_all_express_some_gene() -> None:
    values = tpm(1)
    values[3] = 0
    (finding,) = findings(values)
    assert (finding.severity, finding.code, finding.biopsies) == ("warning", "sample-silent", ("b3",))
    assert finding.where == "e.tsv: row 5"
    values[:, :][::2] = 0
    assert {severity for severity, _ in codes(values)} == {"warning"}


def test_a_silent_sample_of_weak_genes_is_a_note() -> None:
    values = tpm(1)[:, :2]
    values[3] = 0
    values[5, 0] = values[6, 1] = 0
    values[7] = 0
    (finding,) = findings(values)
    assert (finding.severity, finding.code, finding.biopsies) == ("note", "sample-silent", ("b3", "b7"))


def test_a_table_of_zeros_is_told_of_its_genes_alone() -> None:
    assert codes(np.zeros((12, 3))) == [("warning", "gene-silent")]


def test_genes_that_are_constant_are_named_and_nothing_else() -> None:
    values = tpm(1)
    values[:, 3] = 7.5
    (finding,) = findings(values)
    assert (finding.severity, finding.code, finding.where) == ("warning", "gene-constant", "e.tsv: column g3")
    assert codes(np.ones((12, 1)) * [5.25, 2.5, 7.0]) == [("warning", "gene-constant")]


def test_silent_and_missing_genes_are_named() -> None:
    values = tpm(1)
    values[:, 0], values[:, 2] = 0, np.nan
    told = {finding.code: finding for finding in findings(values)}
    assert set(told) == {"gene-silent", "gene-missing"}
    assert told["gene-silent"].where == "e.tsv: column g0"
    assert told["gene-missing"].where == "e.tsv: column g2"


def test_silent_genes_of_a_transcriptome_are_a_note() -> None:
    values = tpm(1, 5, np.full(2000, 100.0))
    values[:, :700] = 0
    assert codes(values) == [("note", "gene-silent")]


def test_a_table_of_nothing_is_an_error() -> None:
    assert codes(np.full((4, 3), np.nan)) == [("error", "expression-missing")]
    assert list(expression_findings(cohort([biopsy("b", "s", (0, 0, 0), 2)]))) == []


def test_a_row_that_was_copied() -> None:
    values = tpm(1)
    values[7] = values[2]
    (finding,) = findings(values)
    assert (finding.code, finding.biopsies) == ("sample-copied", ("b2", "b7"))


def test_the_real_table_has_nothing_wrong_with_it(shared_cohort: Callable[[str], Path]) -> None:
    table = read_cohort(shared_cohort("glioma_atlas3d")).expression
    assert table is not None
    assert codes(table.values) == []
    assert codes(np.log2(table.values + 1)) == [("warning", "expression-logged")]
    assert codes(np.round(table.values)) == [("note", "expression-counts")]


def test_rows_that_agree_in_few_expressed_genes_agree_by_chance() -> None:
    values = tpm(1)
    values[2] = values[7] = (0, 3.5, 0, 812.0, 0)
    assert codes(values) == []
    values[2] = values[7] = (0, 3.5, 0, 812.0, 41.5)
    assert codes(values) == [("warning", "sample-copied")]


def test_two_samples_of_one_value_make_no_constant_gene() -> None:
    values = tpm(1)
    values[2:, 3], values[:2, 3] = np.nan, 7.5
    assert codes(values) == []
    values[2, 3] = 7.5
    assert codes(values) == [("warning", "gene-constant")]
