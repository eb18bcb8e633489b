from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.cohort import read_cohort
from data_prep.cohort_file import CohortFile
from data_prep.labels import LabelDefinition, label_biopsies
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


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"rule": "log-tpm"}, "label.rule: must be 'above-median' or 'above:NUMBER', but got 'log-tpm'"),
        ({"rule": "above"}, "label.rule: must be"),
        ({"rule": "above:high"}, "label.rule: must be"),
        ({"rule": "above:nan"}, "label.rule: must be"),
        ({"rule": "above-median:2"}, "label.rule: must be"),
        ({"genes": ()}, "label.genes: at least one"),
        ({"genes": ("A", "A")}, "label.genes: at least one and each once"),
        ({"threshold_from": "test"}, "label.threshold_from: must be 'cohort' or 'training', but got 'test'"),
        ({"rule": "above:1", "threshold_from": "training"}, "'training' needs rule 'above-median'"),
    ],
)
def test_an_illegal_definition_is_refused(options, problem):
    with pytest.raises(InputError, match=problem):
        LabelDefinition(**{"genes": ("CD3D",), **options})


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
