from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.cohort import read_cohort
from data_prep.cohort_file import CohortFile
from data_prep.labels import UNKNOWN, LabelDefinition, label_biopsies
from data_prep.problems import InputError
from data_prep.records import Biopsy, Cohort, Expression

CD3D = LabelDefinition(("CD3D",))


def cohort_of(values: np.ndarray, genes: tuple[str, ...] = ("CD3D",)) -> Cohort:
    """A cohort without images whose expression is given; NaN is n/a."""
    table = np.asarray(values, dtype=float).reshape(-1, len(genes))
    names = tuple(f"b{k}" for k in range(len(table)))
    file = CohortFile.model_validate(
        {
            "name": "c",
            "images": "a.nii",
            "sequences": ["T1"],
            "biopsies": "b.tsv",
            "coordinates": {"space": "voxel"},
        }
    )
    biopsies = tuple(Biopsy(name, "p", (0.0, 0.0, 0.0), row, {}) for row, name in enumerate(names, start=2))
    expression = Expression("expression.tsv", genes, names, table)
    return Cohort("c", Path(), ("T1",), biopsies, file.coordinates, expression, file)


@settings(max_examples=25)
@given(st.lists(st.floats(0, 1e6), min_size=150, max_size=150, unique=True))
def test_half_are_above_the_median_where_all_values_differ(values):
    labels = label_biopsies(cohort_of(np.array(values)), CD3D)
    assert labels.label.sum() == 75
    assert labels.score.tolist() == values
    assert labels.threshold == np.median(values)


def test_the_real_atlas_has_165_labelled_biopsies_of_17_participants(shared_cohort):
    cohort = read_cohort(shared_cohort("glioma_atlas3d"))
    labels = label_biopsies(cohort, CD3D)
    owner = {biopsy.biopsy_id: biopsy.participant_id for biopsy in cohort.biopsies}
    assert (len(labels.biopsy_id), len({owner[name] for name in labels.biopsy_id})) == (165, 17)
    assert labels.label.sum() == 82


def test_biopsies_without_expression_are_left_out():
    labels = label_biopsies(
        cohort_of([[1, 5], [np.nan, 1], [2, np.nan], [3, 9]], ("A", "B")), LabelDefinition(("A", "B"))
    )
    assert labels.biopsy_id == ("b0", "b3")


def test_a_fixed_cut_is_in_tpm_for_one_gene():
    labels = label_biopsies(cohort_of([1.03, 1.04, 0.5]), LabelDefinition(("CD3D",), "above:1.03"))
    assert (labels.label.tolist(), labels.threshold) == ([0, 1, 0], 1.03)


def test_several_genes_form_the_mean_of_their_scores():
    values = np.random.default_rng(0).gamma(2, 3, (20, 2))
    labels = label_biopsies(cohort_of(values, ("A", "B")), LabelDefinition(("A", "B")))
    logs = np.log2(values + 1)
    assert labels.score == pytest.approx(((logs - logs.mean(0)) / logs.std(0)).mean(1))
    assert labels.label.sum() == 10


def test_a_gene_that_does_not_vary_adds_nothing():
    values = np.column_stack([np.arange(6.0), np.full(6, 2.0)])
    labels = label_biopsies(cohort_of(values, ("A", "B")), LabelDefinition(("A", "B")))
    assert labels.label.tolist() == [0, 0, 0, 1, 1, 1]


def test_the_cohort_median_is_the_same_for_every_fold():
    labels = label_biopsies(cohort_of(np.arange(10.0)), CD3D)
    label, threshold = labels.relabel([0, 1, 2])
    assert (label.tolist(), threshold) == (labels.label.tolist(), 4.5)


def test_the_training_median_looks_at_training_rows_only():
    values = np.random.default_rng(1).gamma(2, 3, (12, 2))
    changed = values.copy()
    changed[8:] *= 50
    definition = LabelDefinition(("A", "B"), threshold_from="training")
    train = np.arange(8)
    before = label_biopsies(cohort_of(values, ("A", "B")), definition).relabel(train)
    after = label_biopsies(cohort_of(changed, ("A", "B")), definition).relabel(train)
    assert before[1] == after[1]
    assert before[0][train].tolist() == after[0][train].tolist()
    assert before[0][train].sum() == 4


def test_absent_genes_are_named_all_at_once():
    with pytest.raises(InputError, match="missing") as caught:
        label_biopsies(cohort_of([1, 2]), LabelDefinition(("CD3X", "ZZZZZ")))
    assert caught.value.problems == (
        "expression.tsv: row 1, column CD3X: the gene is required, but missing. Did you mean CD3D?",
        "expression.tsv: row 1, column ZZZZZ: the gene is required, but missing. It has 1 others.",
    )


def test_a_cohort_without_expression_cannot_be_labelled(tmp_path, make_cohort):
    cohort = read_cohort(make_cohort(tmp_path, participants=1, biopsies=1, size=8, genes=()))
    with pytest.raises(InputError, match=r"cohort\.toml: expression: a table is needed"):
        label_biopsies(cohort, CD3D)


@pytest.mark.parametrize(
    ("values", "rule", "problem"),
    [
        ([3, 3, 3], "above-median", "must tell biopsies apart"),
        ([1, 2, 3], "above:9", "the threshold is 9 and all 3 scores lie between 1 and 3"),
        ([np.nan], "above:9", "some biopsy must have values of"),
    ],
)
def test_labels_that_are_all_alike_are_refused(values, rule, problem):
    with pytest.raises(InputError, match=problem):
        label_biopsies(cohort_of(values), LabelDefinition(("CD3D",), rule))


def with_column(texts: list[str]) -> Cohort:
    cohort = cohort_of(np.arange(float(len(texts))))
    biopsies = tuple(
        replace(one, columns={"t_cells": text}) for one, text in zip(cohort.biopsies, texts, strict=True)
    )
    return replace(cohort, biopsies=biopsies, expression=None)


def test_a_signature_score_comes_from_a_column_of_the_biopsy_table():
    labels = label_biopsies(with_column(["-1.5", "n/a", "0.25", "2"]), LabelDefinition(column="t_cells"))
    assert labels.biopsy_id == ("b0", "b2", "b3")
    assert (labels.score.tolist(), labels.label.tolist()) == ([-1.5, 0.25, 2.0], [0, 0, 1])
    assert labels.value.tolist() == labels.score.tolist()  # no logarithm of what is no expression


def test_what_is_wrong_with_a_score_column_is_said_row_by_row():
    with pytest.raises(InputError, match="a number is needed") as caught:
        label_biopsies(with_column(["1", "high", "", "2"]), LabelDefinition(column="t_cells"))
    assert caught.value.problems == (
        "b.tsv: row 3, column t_cells: a number is needed, but got 'high'.",
        "b.tsv: row 4, column t_cells: a number is needed, but got ''.",
    )
    with pytest.raises(InputError, match=r"row 2, column t_cells: a column of numbers .* in all 2 rows"):
        label_biopsies(with_column(["low", "high"]), LabelDefinition(column="t_cells"))
    with pytest.raises(InputError, match=r"unknown column 't_cell'.*t_cells"):
        label_biopsies(with_column(["1", "2"]), LabelDefinition(column="t_cell"))


@settings(max_examples=25)
@given(st.floats(0.05, 0.95), st.integers(0, 10))
def test_a_quantile_leaves_its_share_below(share, seed):
    values = np.random.default_rng(seed).permutation(np.arange(200.0))
    labels = label_biopsies(cohort_of(values), LabelDefinition(("CD3D",), f"above-quantile:{share}"))
    assert abs((labels.label == 0).mean() - share) <= 1 / 200 + 1e-9


def test_a_quantile_of_the_training_rows_does_not_see_the_others():
    values = np.arange(10.0)
    definition = LabelDefinition(("CD3D",), "above-quantile:0.8", "training")
    label, cut = label_biopsies(cohort_of(values), definition).relabel(np.arange(5))
    assert cut == pytest.approx(3.2)
    assert label.tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 1, 1]


def test_a_regression_learns_the_logarithm_and_is_cut_where_the_label_is():
    values = np.array([0.0, 1.0, 3.0, 7.0])
    labels = label_biopsies(cohort_of(values), LabelDefinition(("CD3D",), "log-tpm:3"))
    (head,) = labels.heads(np.arange(4))
    assert head.value.tolist() == [0.0, 1.0, 2.0, 3.0]
    assert (head.cut, head.threshold) == (2.0, 3.0)
    assert head.label.tolist() == (head.value > head.cut).astype(int).tolist() == [0, 0, 0, 1]


GENES = ("A", "B", "C")


def test_several_labels_at_once_are_those_of_each_gene_alone():
    values = np.random.default_rng(2).gamma(2, 3, (30, 3))
    values[4, 2] = np.nan
    together = label_biopsies(cohort_of(values, GENES), LabelDefinition(GENES, combine="multi-label"))
    heads = together.heads(np.arange(30))
    assert [head.name for head in heads] == list(GENES)
    for gene, head in zip(GENES, heads, strict=True):
        alone = label_biopsies(cohort_of(values, GENES), LabelDefinition((gene,)))
        known = head.label != UNKNOWN
        assert head.label[known].tolist() == alone.label.tolist()
        assert head.threshold == alone.threshold
    assert (heads[2].label[4], np.isnan(heads[2].value[4])) == (UNKNOWN, True)
    assert (together.relabel([0])[0] == heads[0].label).all()


def test_further_labels_are_cut_by_the_training_rows_too():
    values = np.random.default_rng(3).gamma(2, 3, (12, 2))
    changed = values.copy()
    changed[8:] *= 50
    definition = LabelDefinition(("A", "B"), threshold_from="training", combine="multi-label")
    train = np.arange(8)
    first, second = (
        label_biopsies(cohort_of(v, ("A", "B")), definition).heads(train) for v in (values, changed)
    )
    assert [head.threshold for head in first] == [head.threshold for head in second]


def test_a_biopsy_needs_the_first_gene_of_several_labels_alone():
    values = [[1, 5], [np.nan, 1], [2, np.nan], [3, 9]]
    labels = label_biopsies(cohort_of(values, ("A", "B")), LabelDefinition(("A", "B"), combine="multi-label"))
    assert labels.biopsy_id == ("b0", "b2", "b3")


def test_a_further_label_that_tells_nobody_apart_is_refused():
    values = np.column_stack([np.arange(6.0), np.full(6, 2.0)])
    with pytest.raises(InputError, match="the threshold of B is 2 and all 6 scores lie between 2 and 2"):
        label_biopsies(cohort_of(values, ("A", "B")), LabelDefinition(("A", "B"), combine="multi-label"))


def test_another_order_moves_the_expression_and_leaves_the_biopsies():
    values = np.random.default_rng(4).gamma(2, 3, (9, 2))
    labels = label_biopsies(cohort_of(values, ("A", "B")), LabelDefinition(("A", "B"), combine="multi-label"))
    order = np.random.default_rng(5).permutation(9)
    moved = labels.ordered(order)
    assert moved.biopsy_id == labels.biopsy_id
    for one, other in zip(moved.heads(np.arange(9)), labels.heads(np.arange(9)), strict=True):
        assert one.label.tolist() == other.label[order].tolist()
    taken = labels.take([3, 1])
    assert (taken.biopsy_id, taken.score.tolist()) == (("b3", "b1"), labels.score[[3, 1]].tolist())
    assert [h.threshold for h in taken.heads([0])] == [h.threshold for h in labels.heads([0])]
