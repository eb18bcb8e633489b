"""Tables of numbers, either way round."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from data_prep.importing.matrix import Matrix, read_matrix
from data_prep.importing.records import BiopsyTable, ImportOptions
from data_prep.problems import Problems

WriteTable = Callable[..., str]
Read = Callable[..., Matrix]
GENES = (("gene", "info", "b2", "b1", "b9"), ("CD3D", "t", "1,5", "2", 3), ("GFAP", "t", "NA", "0,25", 4))


@pytest.fixture
def read(options: Callable[..., ImportOptions], table_of: Callable[..., BiopsyTable]) -> Read:
    def run(path: str, *ids: str, **flags: object) -> Matrix:
        problems = Problems()
        biopsies = table_of(*((name, "p", None) for name in ids))
        matrix = read_matrix(options(expression=path, **flags), biopsies, {i: i for i in ids}, problems)
        problems.raise_any()
        assert matrix is not None
        return matrix

    return run


def test_both_ways_round_are_one_matrix(read: Read, write_table: WriteTable) -> None:
    across = read(write_table("a.csv", *GENES, mark=";"), "b1", "b2")
    down = read(write_table("b.csv", *zip(*GENES, strict=True), mark=";"), "b1", "b2")
    for matrix in (across, down):
        assert (matrix.samples, matrix.genes) == (("b1", "b2"), ("CD3D", "GFAP"))
        np.testing.assert_array_equal(matrix.values, [[2, 0.25], [1.5, np.nan]])
        assert "its decimal commas are read as points" in matrix.notes
    assert "a.csv is genes x samples" in across.notes[0]
    assert "b.csv is samples x genes" in down.notes[0]


def test_an_unclear_orientation_is_asked_for(read: Read, write_table: WriteTable) -> None:
    path = write_table("t.csv", ("id", "1", "2"), ("1", 10, 20), ("2", 30, 40))
    with pytest.raises(ValueError, match=r"2 columns and 2 rows do. Say --orientation"):
        read(path, "1", "2")
    assert read(path, "1", "2", orientation="genes-x-samples").values.tolist() == [[10, 30], [20, 40]]
    assert read(path, "1", "2", orientation="samples-x-genes").values.tolist() == [[10, 20], [30, 40]]


def test_strangers_are_answered_with_the_column_that_knows_them(
    options: Callable[..., ImportOptions], table_of: Callable[..., BiopsyTable], write_table: WriteTable
) -> None:
    problems = Problems()
    biopsies = table_of(("b1", "p", None), RNA=["r1"])
    flags = options(expression=write_table("t.csv", ("gene", "r1"), ("CD3D", 1)))
    assert read_matrix(flags, biopsies, {"b1": "b1"}, problems) is None
    with pytest.raises(
        ValueError, match=r"Column 'RNA' of biopsies.csv has 1 of them: say --expression-id 'RNA'"
    ):
        problems.raise_any()


def test_samples_without_a_biopsy_and_columns_of_text_are_left_out(
    read: Read, write_table: WriteTable
) -> None:
    rows = (("sample", "batch", "CD3D"), ("b1", "x", 1), ("b9", "y", 2))
    matrix = read(write_table("t.csv", *rows), "b1")
    assert matrix.genes == ("CD3D",)
    assert [left.what for left in matrix.left_out] == ["t.csv: column batch", "t.csv: row 3"]


def test_a_gene_column_can_be_named(read: Read, write_table: WriteTable) -> None:
    path = write_table("t.csv", ("id", "symbol", "b1"), ("ENSG1", "CD3D", 1))
    assert read(path, "b1").genes == ("ENSG1",)
    assert read(path, "b1", gene_column="symbol").genes == ("CD3D",)
    with pytest.raises(ValueError, match="unknown column 'name'"):
        read(path, "b1", gene_column="name")


def test_reads_of_no_gene_are_left_out_either_way_round(read: Read, write_table: WriteTable) -> None:
    rows = (("gene", "b1"), ("CD3D", 1), ("__no_feature", 2), ("N_unmapped", 3))
    across = read(write_table("a.csv", *rows), "b1")
    down = read(write_table("b.csv", *zip(*rows, strict=True)), "b1")
    for matrix in (across, down):
        assert (matrix.genes, matrix.values.tolist()) == (("CD3D",), [[1]])
        assert len(matrix.left_out) == 2
    assert across.left_out[0].why == "'__no_feature' is no gene"


def test_names_of_samples_that_differ_in_case_are_hinted_at(read: Read, write_table: WriteTable) -> None:
    path = write_table("t.csv", ("gene", "b1", "B2"), ("CD3D", 1, 2))
    assert any("'B2' differs from 'b2' in case alone" in note for note in read(path, "b1", "b2").notes)
    with pytest.raises(ValueError, match="'B2' differs from 'b2' in case alone"):
        read(path, "b2")


def test_dropped_columns_are_no_samples_and_a_gene_column_needs_genes_in_rows(
    read: Read, write_table: WriteTable
) -> None:
    matrix = read(write_table("t.csv", *GENES, mark=";"), "b1", "b2", drop=("b2",))
    assert matrix.samples == ("b1",)
    with pytest.raises(ValueError, match="--gene-column: genes are the columns"):
        read(write_table("u.csv", ("id", "CD3D"), ("b1", 1)), "b1", gene_column="id")


def test_all_that_is_wrong_is_said_at_once(read: Read, write_table: WriteTable) -> None:
    rows = (("gene", "b1", "b1"), ("2-Sep", 1, 2), ("GFAP", "-1", "high"), ("", 3, 4))
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - each line is matched below
        read(write_table("t.csv", *rows), "b1")
    text = str(caught.value)
    for line in (
        "'b1' occurs 2 times",
        "row 2: a gene's name is needed, but got '2-Sep'",
        "row 4, column gene: a gene needs a name",
        "row 3, column b1: expression cannot be negative, but got -1. Is it logged",
        "row 3, column b1: a number is needed, but got 'high'",
    ):
        assert line in text
