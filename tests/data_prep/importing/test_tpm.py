"""Counts to transcripts per million."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from data_prep.importing.tpm import first_of_each, lengths_of, read_lengths, summed, to_tpm, unversioned
from data_prep.problems import Problems

WriteTable = Callable[..., str]


def test_tpm_by_hand() -> None:
    """Rates 10/2, 20/4, 30/1 are 5, 5, 30 of 40; 0, 4/4, 3/1 are 0, 1, 3 of 4."""
    counts = np.array([[10.0, 20.0, 30.0], [0.0, 4.0, 3.0]])
    expected = [[125_000.0, 125_000.0, 750_000.0], [0.0, 250_000.0, 750_000.0]]
    np.testing.assert_allclose(to_tpm(counts, np.array([2.0, 4.0, 1.0])), expected, rtol=1e-12)


@given(
    arrays(np.float64, (3, 5), elements=st.floats(0.1, 1e6)),
    arrays(np.float64, 5, elements=st.floats(100, 1e5)),
)
def test_every_sample_sums_to_a_million_whatever_the_unit_of_lengths(
    counts: np.ndarray, lengths: np.ndarray
) -> None:
    tpm = to_tpm(counts, lengths)
    np.testing.assert_allclose(tpm.sum(axis=1), 1e6)
    np.testing.assert_allclose(tpm, to_tpm(counts * 7, lengths / 1000))


def test_lengths_are_found_with_and_without_versions(write_table: WriteTable) -> None:
    path = write_table(
        "l.tsv",
        ("Geneid", "Chr", "Length", "gene_name"),
        ("ENSG00000167286.10", 11, 900, "CD3D"),
        ("ENSG00000131095", 17, 3000, "GFAP"),
        mark="\t",
    )
    problems = Problems()
    lengths = read_lengths(path, problems)
    assert lengths is not None
    genes = ["ENSG00000167286.9", "ENSG00000167286", "ENSG00000131095.12"]
    assert lengths_of(genes, lengths, "e.csv", problems).tolist() == [900, 900, 3000]
    assert lengths.names[lengths.key_of(genes[0]) or ""] == "CD3D"
    assert not len(problems)


def test_a_version_that_decides_the_length_is_not_passed_over(write_table: WriteTable) -> None:
    rows = (("gene", "length"), ("ENSG00000167286.1", 900), ("ENSG00000167286.2", 950))
    lengths, problems = read_lengths(write_table("l.csv", *rows), Problems()), Problems()
    assert lengths is not None
    assert lengths_of(["ENSG00000167286.2"], lengths, "e.csv", problems).tolist() == [950]
    lengths_of(["ENSG00000167286.3"], lengths, "e.csv", problems)
    with pytest.raises(ValueError, match=r"1 of 1 have none in --gene-lengths: ENSG00000167286\.3"):
        problems.raise_any()


def test_lengths_that_are_none_are_named(write_table: WriteTable) -> None:
    problems = Problems()
    rows = (("gene", "length"), ("A", 0), ("B", "long"), ("C", 10), ("C", 20))
    read_lengths(write_table("l.csv", *rows), problems)
    assert read_lengths(write_table("m.csv", ("gene", "size"), ("A", 1)), problems) is None
    with pytest.raises(
        ValueError, match=r"(?s)above 0, but got 0.*got 'long'.*'C' has 10 and 20.*'length' is needed"
    ):
        problems.raise_any()


def test_many_wrong_lengths_are_counted_by_kind(write_table: WriteTable) -> None:
    problems = Problems()
    rows = [(f"A{n}", "NA") for n in range(50)] + [(f"B{n}", 0) for n in range(30)]
    read_lengths(write_table("l.csv", ("gene", "length"), *rows), problems)
    assert len(problems) == 42
    with pytest.raises(
        ValueError, match=r"(?s)30 more lengths are no numbers.*10 more lengths are not above 0"
    ):
        problems.raise_any()


def test_names_that_look_versioned_and_are_not_stay() -> None:
    assert [unversioned(name) for name in ("H3.1", "AC012345.6", "ENSG00000002586.20_PAR_Y")] == [
        "H3.1",
        "AC012345.6",
        "ENSG00000002586_PAR_Y",
    ]


def test_genes_of_one_name_are_added_up_or_the_first_is_taken() -> None:
    values, names = np.array([[1.0, 2.0, 4.0], [8.0, 16.0, 32.0]]), ["A", "B", "A"]
    np.testing.assert_array_equal(summed(values, names), [[5, 2], [40, 16]])
    assert first_of_each(names) == [0, 1]
