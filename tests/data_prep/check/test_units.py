from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.check.findings import Finding
from data_prep.check.units import CHOSEN, unit_findings, varying
from data_prep.records import Expression

MEDIANS = np.array([1.0, 1.6, 0.9, 900.0, 40.0])


def tpm(seed: int, rows: int = 12, medians: np.ndarray = MEDIANS, spread: float = 1.0) -> np.ndarray:
    return medians * np.exp(spread * np.random.default_rng(seed).normal(size=(rows, len(medians))))


def findings(values: np.ndarray) -> list[Finding]:
    names = tuple(f"b{n}" for n in range(len(values)))
    return list(
        unit_findings(Expression("e.tsv", tuple(f"g{n}" for n in range(values.shape[1])), names, values))
    )


def codes(values: np.ndarray) -> list[tuple[str, str]]:
    return [(finding.severity, finding.code) for finding in findings(values)]


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000), rows=st.integers(4, 60))
def test_tpm_of_any_genes_are_sound(seed: int, rows: int) -> None:
    assert codes(tpm(seed, rows)) == []
    assert codes(tpm(seed, rows, MEDIANS[:3])) == [], "a table of weak genes alone tells nothing"


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000), base=st.sampled_from([2.0, np.e]))
def test_logarithms_are_known(seed: int, base: float) -> None:
    assert codes(np.log(tpm(seed) + 1) / np.log(base)) == [("warning", "expression-logged")]


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000))
def test_steady_genes_are_a_note_and_where_levels_differ_nothing(seed: int) -> None:
    alike = tpm(seed, 40, np.array([8.0, 6.0]), 0.2)
    assert codes(alike) == [("note", "expression-logged")]
    assert "or its genes are steady" in findings(alike)[0].what
    assert codes(tpm(seed, 40, np.array([0.5, 2.0, 4.0, 10.0]), 0.15)) == []


@pytest.mark.parametrize("scale", [1, 50])
def test_whole_numbers_of_a_few_genes_may_be_counts_or_rounded(scale: int) -> None:
    (finding,) = findings(np.random.default_rng(1).poisson(tpm(0) * scale).astype(float))
    assert (finding.severity, finding.code) == ("note", "expression-counts")
    assert "or was rounded" in finding.what


def transcriptome() -> np.ndarray:
    values = tpm(0, 5, np.full(2 * CHOSEN, 500.0))
    return np.asarray(values / values.sum(axis=1, keepdims=True) * 1e6)


def test_whole_numbers_of_a_transcriptome_are_counts_unless_they_sum_to_a_million() -> None:
    whole = transcriptome()
    assert codes(np.round(whole)) == []
    assert codes(np.round(whole / 3)) == [("warning", "expression-counts")]


def test_no_sample_has_more_than_a_million_transcripts_in_a_million() -> None:
    whole = transcriptome()
    assert codes(whole) == []
    (finding,) = findings(whole * 2)
    assert (finding.severity, finding.code) == ("warning", "expression-counts")
    assert "sums to 2e+06" in finding.what


def test_counts_of_a_few_molecules_are_no_logarithms() -> None:
    counts = np.random.default_rng(0).poisson(8, size=(20, 5)).astype(float)
    assert codes(counts) == [("note", "expression-counts")]


def test_what_does_not_vary_tells_no_unit() -> None:
    assert codes(np.full((12, 3), 5.25)) == []
    assert varying(np.array([[1.0, np.nan, 2.0], [1.0, np.nan, 3.0]])).tolist() == [False, False, True]


@pytest.mark.parametrize(("numbers", "told"), [(19, []), (20, [("note", "expression-counts")])])
def test_a_few_whole_numbers_are_chance(numbers: int, told: list[tuple[str, str]]) -> None:
    values = np.zeros((10, 2))
    values.flat[:numbers] = np.arange(2, 2 + numbers)
    assert codes(values) == told


@pytest.mark.parametrize(("top", "told"), [(19.9, [("warning", "expression-logged")]), (20.1, [])])
def test_what_exceeds_the_logarithm_of_a_million_is_none(top: float, told: list[tuple[str, str]]) -> None:
    values = np.log2(tpm(0) + 1)
    values[0, 3] = top
    assert codes(values) == told
