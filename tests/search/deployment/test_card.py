"""The card of a model: its headings, its figures, and no more than it may say."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from search.deployment.card import card, write_card
from search.deployment.facts import CARD, SeenParticipant
from tests.search.deployment.facts_by_hand import make_explanations, make_facts

READER = MarkdownIt("commonmark").enable("table")
HEADINGS = [
    "cd3d, version 2",
    "Model details",
    "Intended use",
    "Factors",
    "Metrics",
    "Training data",
    "Evaluation data",
    "Quantitative analyses",
    "What the model looks at",
    "Ethical considerations",
    "Caveats and recommendations",
    "How to use it",
    "Provenance",
]


def headings(text: str) -> list[str]:
    tokens = READER.parse(text)
    places = [n for n, token in enumerate(tokens) if token.type == "heading_open"]
    return ["".join(child.content for child in tokens[n + 1].children or []) for n in places]


def test_it_has_the_headings_of_model_cards_and_what_it_is_for_on_top() -> None:
    text = card(make_facts(), make_explanations(), 1.84)
    assert headings(text) == HEADINGS
    assert text.splitlines()[2].startswith("**Research use only: not for diagnosis")
    assert "participants, here 1.84." in text


def test_every_table_has_as_many_cells_in_each_row() -> None:
    text = card(make_facts(), make_explanations(labels=2), 1.0)
    for block in re.findall(r"(?:^\|.*\n?)+", text, re.MULTILINE):
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in block.strip().splitlines()}
        assert len(widths) == 1


def test_the_honest_estimate_comes_before_the_naive_value_which_is_named_as_such() -> None:
    text = card(make_facts(), None)
    honest = "**Honest estimate: an AUC of 0.66 (95 % interval 0.55 to 0.77)**"
    assert honest in text
    assert text.index(honest) < text.index("Naive value: 0.73")
    assert "must not be quoted" in text
    assert "better than chance at the 5 % level" in text
    assert "| CD3D | 150 | 70 | 0.710 | 0.210 | 0.249 |" in text


@pytest.mark.parametrize(
    ("metric", "honest", "naive", "is_better"),
    [
        ("roc_auc", 0.51, 0.49, False),
        ("roc_auc", 0.66, 0.73, True),
        ("brier", 0.21, 0.19, True),
        ("brier", 0.19, 0.21, False),
        ("roc_auc", None, 0.73, False),
    ],
)
def test_a_naive_value_is_called_too_good_only_where_it_beats_the_honest_one(
    metric: str, honest: float | None, naive: float, is_better: bool
) -> None:
    text = card(make_facts(metric=metric, honest={"estimate": honest, "selected_naive": naive}), None)
    (line,) = [line for line in text.splitlines() if line.startswith("Naive value: ")]
    assert "of what was selected on the biopsies that it was selected by" in line
    assert ("too good" in line) == is_better
    assert "must not be quoted" in line


def test_the_example_of_mlflow_says_which() -> None:
    fences = [token.content for token in READER.parse(card(make_facts(), None)) if token.type == "fence"]
    (example,) = [code for code in fences if "load_model" in code]
    assert example.index('mlflow.set_tracking_uri("URI")') < example.index("load_model")


def test_without_an_estimate_the_reason_is_told() -> None:
    facts = make_facts()
    none = replace(facts, honest={**facts.honest, "estimate": None, "reason": "the trial was named"})
    assert "There is no honest estimate: the trial was named." in card(none, None)
    unshown = replace(facts, honest={**facts.honest, "claim": False})
    assert "not shown to be better than chance" in card(unshown, None)


def test_an_auc_that_is_undefined_is_a_dash() -> None:
    facts = make_facts()
    (label,) = facts.labels
    alone = replace(label, out_of_fold=replace(label.out_of_fold, roc_auc=None))
    assert "| CD3D | 150 | 70 | - |" in card(replace(facts, labels=(alone,)), None)


def test_odd_names_stay_names() -> None:
    odd = "# x\n| a | <script>alert(1)</script> ![](http://example.org) `b`"
    tokens = READER.parse(card(make_facts(name=odd, study=odd), None))
    kinds = {child.type for token in tokens for child in token.children or []}
    assert not kinds & {"html_inline", "image", "link_open"}
    assert "html_block" not in {token.type for token in tokens}
    assert len(headings(card(make_facts(name=odd), None))) == len(HEADINGS)


def test_nothing_that_tells_who_was_seen_is_in_it() -> None:
    seen = SeenParticipant(("f" * 64,), 0)
    assert "f" * 64 not in card(make_facts(participants=(seen,)), make_explanations())


def test_it_is_written_into_the_folder(tmp_path: Path) -> None:
    path = write_card(tmp_path, make_facts(), None)
    assert path == tmp_path / CARD
    assert path.read_text(encoding="utf-8") == card(make_facts(), None)
    assert [one.name for one in tmp_path.iterdir()] == [CARD]
