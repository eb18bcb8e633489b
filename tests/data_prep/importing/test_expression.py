"""Expression of the biopsies."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from data_prep.importing.expression import ExpressionTable, read_expression
from data_prep.importing.records import BiopsyTable, ImportOptions
from data_prep.problems import Problems

WriteTable = Callable[..., str]
Read = Callable[..., ExpressionTable]
COUNTS = (("gene", "b1", "b2"), ("A.x", 10, 0), ("B", 20, 4), ("A.y", 30, 3))
LENGTHS = (("id", "length", "name"), ("A.x", 2, "A"), ("B", 4, ""), ("A.y", 1, "A"))


@pytest.fixture
def read(options: Callable[..., ImportOptions], table_of: Callable[..., BiopsyTable]) -> Read:
    def run(path: str, **flags: object) -> ExpressionTable:
        problems = Problems()
        biopsies = table_of(("b1", "p", None), ("b2", "p", None), ("b3", "p", None), RNA=["r1", "r2", "NA"])
        table = read_expression(options(expression=path, **flags), biopsies, problems)
        problems.raise_any()
        assert table is not None
        return table

    return run


def test_counts_become_tpm_under_the_names_of_the_lengths(read: Read, write_table: WriteTable) -> None:
    """By hand, as in test_tpm: (125, 125, 750) and (0, 250, 750) thousand, those of A added up."""
    paths = write_table("c.csv", *COUNTS), write_table("l.csv", *LENGTHS)
    table = read(paths[0], gene_lengths=paths[1], duplicate_genes="sum")
    assert table.genes == ("A", "B")
    np.testing.assert_allclose(table.values["b1"], [875_000, 125_000])
    np.testing.assert_allclose(table.values["b2"], [750_000, 250_000])
    assert table.warnings == ()


@pytest.mark.parametrize("rule", ["sum", "first"])
def test_samples_sum_to_a_million_whatever_becomes_of_duplicates(
    read: Read, write_table: WriteTable, rule: str
) -> None:
    paths = write_table("c.csv", *COUNTS), write_table("l.csv", *LENGTHS)
    table = read(paths[0], gene_lengths=paths[1], duplicate_genes=rule)
    assert len(table.genes) == 2
    assert [values.sum() for values in table.values.values()] == pytest.approx([1e6, 1e6])


def test_duplicates_are_a_problem_unless_told(read: Read, write_table: WriteTable) -> None:
    path = write_table("t.csv", ("gene", "b1"), ("A", 1.5), ("B", 2), ("A", 4))
    with pytest.raises(
        ValueError, match=r"a gene must occur once, but A occur repeatedly. Say --duplicate-genes"
    ):
        read(path)
    assert read(path, duplicate_genes="sum").values["b1"].tolist() == [5.5, 2]
    assert read(path, duplicate_genes="first").values["b1"].tolist() == [1.5, 2]


def test_samples_may_have_names_of_their_own(read: Read, write_table: WriteTable) -> None:
    path = write_table("t.csv", ("gene", "r2", "r1"), ("A", 1.5, 2.5))
    table = read(path, expression_id="RNA")
    assert {name: values.tolist() for name, values in table.values.items()} == {"b1": [2.5], "b2": [1.5]}
    with pytest.raises(ValueError, match="--expression-id: unknown column 'DNA'"):
        read(path, expression_id="DNA")


def test_counts_without_a_length_a_value_or_any_read_are_problems(
    read: Read, write_table: WriteTable
) -> None:
    paths = (
        write_table("c.csv", ("gene", "b1", "b2"), ("A", 0, "NA"), ("B", 0, 1)),
        write_table("l.csv", ("id", "length"), ("A", 2)),
    )
    with pytest.raises(
        ValueError, match=r"(?s)1 of 2 have none .*: B\. .*c.csv: b1: some gene .*c.csv: b2: every gene"
    ):
        read(paths[0], gene_lengths=paths[1])


def test_what_looks_like_something_else_is_warned_of(read: Read, write_table: WriteTable) -> None:
    counts = write_table("c.csv", ("gene", "b1"), ("A", 1000), ("B", 3))
    assert "give --gene-lengths" in read(counts).warnings[0]
    tpm = write_table("t.csv", ("gene", "b1"), ("A", 999_000), ("B", 1000))
    lengths = write_table("l.csv", ("id", "length"), ("A", 2), ("B", 2))
    assert "TPM already" in read(tpm, gene_lengths=lengths).warnings[0]


def test_a_biopsy_without_a_sample_takes_none(
    options: Callable[..., ImportOptions], table_of: Callable[..., BiopsyTable], write_table: WriteTable
) -> None:
    path, problems = write_table("t.csv", ("gene", "r1", "r2"), ("A", 1.5, 2.5)), Problems()
    biopsies = table_of(*((name, "p", None) for name in "abc"), RNA=["r1", "n/a", "n/a"])
    table = read_expression(options(expression=path, expression_id="RNA"), biopsies, problems)
    problems.raise_any()
    assert table is not None
    assert list(table.values) == ["a"]


def test_of_many_genes_that_occur_repeatedly_the_first_are_named(read: Read, write_table: WriteTable) -> None:
    rows = [(f"G{n:02}", n) for n in range(12)] * 2
    path = write_table("t.csv", ("gene", "b1"), *rows)
    with pytest.raises(ValueError, match=r"but G00, .*, G09 and 2 more occur repeatedly\. Say --dup"):
        read(path)
