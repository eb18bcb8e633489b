import numpy as np

from data_prep.label_rules import LabelDefinition
from data_prep.label_summary import summarise
from data_prep.labels import Labels


def labels_of(tpm, rule="above:1", genes=("CD3D",), combine="mean-z"):
    table = np.array(tpm, float).reshape(-1, len(genes))
    score = table[:, 0]
    definition = LabelDefinition(genes, rule, combine=combine)
    cut = definition.threshold(score)
    names = tuple(f"b{k}" for k in range(len(score)))
    further = tuple(definition.threshold(values[~np.isnan(values)]) for values in table.T[1:])
    return Labels(names, table, score, (score > cut).astype(np.int64), cut, definition, further)


def test_balance_ties_zeros_and_mixed_participants_are_counted():
    (found,) = summarise(labels_of([0, 0, 1, 2, 2, 5]), ["p", "p", "q", "q", "r", "r"])
    assert (found.biopsies, found.positive, found.threshold) == (6, 3, 1.0)
    assert (found.at_threshold, found.tied, found.zeros) == (1, 4, 2)
    assert (found.mixed, found.participants) == (1, 3)
    assert found.line == (
        "CD3D: 3 of 6 biopsies above 1; both labels in 1 of 3 participants; 1 exactly at the cut count as "
        "below; 4 share their value with others; 2 are exactly zero"
    )
    assert found.as_json()["tied"] == 4


def test_each_of_several_labels_is_counted_over_those_that_have_it():
    labels = labels_of([[3, np.nan], [0, 4], [2, 0]], genes=("A", "B"), combine="multi-label")
    first, second = summarise(labels, ["p", "q", "q"])
    assert (first.name, first.biopsies, first.positive, first.zeros) == ("A", 3, 2, 1)
    assert (second.name, second.biopsies, second.positive, second.zeros) == ("B", 2, 1, 1)
    assert (second.mixed, second.participants) == (1, 1)


def test_a_score_from_a_column_has_no_zeros_to_count():
    labels = labels_of([1, 2, 3])
    labels = Labels(
        labels.biopsy_id,
        np.empty((3, 0)),
        labels.score,
        labels.label,
        1.0,
        LabelDefinition(column="s", rule="above:1"),
    )
    (found,) = summarise(labels, ["p", "q", "q"])
    assert (found.name, found.zeros, found.positive) == ("s", None, 2)
