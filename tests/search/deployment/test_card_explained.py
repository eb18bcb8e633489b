"""What a model looks at, on its card."""

from __future__ import annotations

from search.deployment.card_explained import explained
from search.deployment.facts import ModelFacts
from tests.search.deployment.facts_by_hand import make_explanations, make_facts


def told(facts: ModelFacts, **changes: int | bool) -> str:
    return "\n\n".join(explained(facts, make_explanations(**changes)))


def test_each_sequence_has_a_row_the_dearest_first() -> None:
    text = told(make_facts())
    names = [line.split(" | ")[0] for line in text.splitlines() if line.startswith("| ")]
    assert names == ["| sequence", "| ---", "| FA", "| T1", "| T1Gd", "| T2"]
    assert "| FA | +0.120 | 0.004 | 0.01 |" in text
    assert "| T2 | 0.000 | 0.004 | 1 | 0.000 |" in text


def test_pictures_caveats_and_who_was_asked_are_there() -> None:
    text = told(make_facts())
    assert "](explanations/occlusion.png)" in text
    assert "](explanations/permutation.png)" in text
    assert "Importance is not causation" in text
    assert "which none of its members learned from" in text


def test_each_of_several_labels_has_its_own_table() -> None:
    text = told(make_facts(), labels=3)
    assert [line for line in text.splitlines() if line.startswith("### ")] == [
        "### CD3D",
        "### CD4",
        "### CD8A",
    ]
    assert text.count("| FA |") == 3


def test_what_was_not_explained_says_why() -> None:
    assert list(explained(make_facts(), None)) == ["It was not explained."]
    bare = make_facts(fold_ensembles=())
    assert list(explained(bare, None)) == ["It was not explained, as it has no models of the folds."]
