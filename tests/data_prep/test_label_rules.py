import pytest

from data_prep.label_rules import LabelDefinition
from data_prep.problems import InputError


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"rule": "above-mean"}, "label.rule: must be 'above-median', 'above:NUMBER'.*but got 'above-mean'"),
        ({"rule": "above"}, "label.rule: must be"),
        ({"rule": "above:high"}, "label.rule: must be .* with a number in the unit of the score"),
        ({"rule": "above:nan"}, "label.rule: must be"),
        ({"rule": "above-median:2"}, "label.rule: must be"),
        ({"rule": "above-quantile"}, "label.rule: must be"),
        ({"rule": "above-quantile:1"}, "with a share above 0 and below 1, but got 'above-quantile:1'"),
        ({"rule": "log-tpm:"}, "label.rule: must be"),
        ({"genes": ()}, "label.genes: at least one"),
        ({"genes": ("A", "A")}, "label.genes: at least one and each once"),
        ({"column": "score"}, "label.column: takes the place of genes, but got 'score' and"),
        ({"combine": "sum"}, "label.combine: unknown name 'sum'"),
        ({"combine": "multi-label"}, "'multi-label' needs several genes, but got"),
        ({"threshold_from": "test"}, "label.threshold_from: must be 'cohort' or 'training', but got 'test'"),
        ({"rule": "above:1", "threshold_from": "training"}, "'training' needs a rule that looks for its cut"),
        ({"rule": "log-tpm:1", "threshold_from": "training"}, "'training' needs a rule"),
    ],
)
def test_an_illegal_definition_is_refused(options, problem):
    with pytest.raises(InputError, match=problem):
        LabelDefinition(**{"genes": ("CD3D",), **options})


def test_all_that_is_wrong_is_said_at_once():
    with pytest.raises(InputError) as caught:
        LabelDefinition((), "above", "test", None, "sum")  # type: ignore[arg-type]
    assert [line.split(":")[0] for line in caught.value.problems] == [
        "label.genes",
        "label.combine",
        "label.rule",
        "label.threshold_from",
    ]


@pytest.mark.parametrize(
    ("rule", "fixed", "regression"),
    [
        ("above-median", False, False),
        ("above:1.03", True, False),
        ("above-quantile:0.6", False, False),
        ("log-tpm", False, True),
        ("log-tpm:1.03", True, True),
    ],
)
def test_a_rule_knows_whether_it_looks_at_scores_and_what_is_learned(rule, fixed, regression):
    definition = LabelDefinition(("CD3D",), rule)
    assert (definition.is_fixed, definition.is_regression) == (fixed, regression)


def test_what_is_predicted_has_names():
    assert LabelDefinition(("A", "B")).heads == ("A+B",)
    assert LabelDefinition(("A", "B"), combine="multi-label").heads == ("A", "B")
    assert LabelDefinition(column="score").heads == ("score",)
    assert LabelDefinition(("A", "B")).target == "A and B"
    assert LabelDefinition(("A", "B"), combine="multi-label").target == "A"
