"""What the model of a study looks at, as a section of the page."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from search.pseudonyms import Names
from search.report.blocks import Command, Picture, Table, Text
from search.report.contents import contents
from search.report.evidence import Evidence
from search.report.explained import biopsies_table, explained_section, sequences_table
from search.report.newest_model import NewestModel
from search.report.page import render
from tests.search.deployment.facts_by_hand import make_explanations, make_facts

NAMES = Names(tuple(f"B{n:03d}" for n in range(1, 13)), tuple(f"P{n:02d}" for n in range(1, 7)))


def model(explained: bool = True, whole: bool = True, **changes: Any) -> NewestModel:
    found = make_explanations() if explained else None
    return NewestModel(make_facts(**changes), found, whole)


@pytest.mark.parametrize(
    ("newest", "words"),
    [
        (None, "There is no model of this study in the home"),
        (model(explained=False), "cd3d, version 2, was made without explanations"),
        (model(explained=False, whole=False), "was changed since it was made"),
    ],
)
def test_where_nothing_can_be_shown_it_says_why_and_what_to_type(
    evidence: Evidence, newest: NewestModel | None, words: str
) -> None:
    section = explained_section(replace(evidence, model=newest))
    (command,) = section.blocks
    assert isinstance(command, Command)
    assert words in command.why
    assert command.line == "radsearch refit shallow"
    assert not section.answers


def test_both_figures_and_both_tables_are_there(evidence: Evidence) -> None:
    section = explained_section(replace(evidence, model=model()))
    pictures = [block.name for block in section.blocks if isinstance(block, Picture)]
    tables = [block.name for block in section.blocks if isinstance(block, Table)]
    assert pictures == ["model-permutation", "model-occlusion"]
    assert tables == ["model-sequences", "model-biopsies"]


def test_it_says_of_which_model_and_that_the_folds_models_were_asked(evidence: Evidence) -> None:
    assert evidence.honest is not None
    for trials, rule, words in (
        (evidence.honest.trials, "rank-average", "."),
        ((98, 99), "rank-average", ". The study selects others by now."),
        ((98, 99), "named", ". That trial was named by hand."),
    ):
        text = explained_section(replace(evidence, model=model(trials=trials, rule=rule))).blocks[0]
        assert isinstance(text, Text)
        assert text.text.startswith("This is of the model cd3d, version 2, made of trial")
        assert f"{words} The ensembles of the folds' models were asked" in text.text
        assert "none of its members learned from" in text.text


def test_a_row_a_sequence_has_loss_and_effects() -> None:
    table = sequences_table(make_explanations())
    assert [row[:6] for row in table.rows] == [
        ("CD3D", "FA", 0.12, 0.004, 0.01, 12),
        ("CD3D", "T1", 0.08, 0.004, 0.01, 11),
        ("CD3D", "T1Gd", 0.06, 0.004, 0.01, 12),
        ("CD3D", "T2", 0.0, 0.004, 1.0, 12),
    ]
    assert "0.710 of CD3D" in table.caption


@pytest.mark.parametrize("labels", [1, 2])
def test_biopsies_have_the_names_of_the_page_in_the_order_of_the_dataset(labels: int) -> None:
    found = make_explanations(labels)
    table = biopsies_table(found, NAMES)
    assert [row[0] for row in table.rows[::labels]] == list(NAMES.biopsy)
    place = found.occlusion.row.tolist().index(10)  # the biopsy that lacks T1
    row = next(row for row in table.rows if row[0] == "B011")
    assert row[1] == NAMES.participant[found.occlusion.participant[place]]
    assert row[-4:][1] is None
    assert row[-4] == pytest.approx(float(found.occlusion.whole[place, 0, 0]))
    assert table.columns[-4:] == found.sequences
    assert ("label" in table.columns) == (labels > 1)


def test_the_section_is_on_the_page_and_on_the_sheet(evidence: Evidence) -> None:
    sections = contents(replace(evidence, model=model()))
    anchors = [section.anchor for section in sections]
    assert anchors[anchors.index("importance") + 1] == "explained"
    page = render("t", "h", "w", sections)
    assert "What the model looks at" in page
    assert page.count("<svg") >= 2
    (sheet,) = [block for block in sections[-1].blocks if isinstance(block, Table)]
    (row,) = [row for row in sheet.rows if row[2] == "explainability"]
    assert row[3] == "partly"
    assert "explained" in str(row[4])
    without = contents(evidence)[-1].blocks[-1]
    assert isinstance(without, Table)
    (row,) = [row for row in without.rows if row[2] == "explainability"]
    assert row[3] == "author"
    assert "no model was made and explained" in str(row[5])
