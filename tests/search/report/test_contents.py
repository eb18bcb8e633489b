"""The whole page of a study, from its evidence."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from search.report.blocks import Command, Picture, Section, Table
from search.report.contents import contents, written_by
from search.report.evidence import Evidence
from search.report.page import render


@pytest.fixture(scope="module")
def sections(evidence: Evidence) -> list[Section]:
    return contents(evidence)


def named(sections: list[Section], kind: type) -> set[str]:
    return {block.name for section in sections for block in section.blocks if isinstance(block, kind)}


def test_every_chapter_is_there_in_order(sections: list[Section]) -> None:
    assert [section.anchor for section in sections] == [
        "summary",
        "estimate",
        "cohort",
        "performance",
        "cases",
        "ladder",
        "permutation",
        "nested",
        "rescored",
        "audit",
        "search",
        "importance",
        "explained",
        "curves",
        "cost",
        "trials",
        "folds",
        "provenance",
        "sheet",
    ]


def test_the_figures_and_the_tables_are_there(sections: list[Section]) -> None:
    assert {"estimate", "flow", "roc", "calibration", "grid", "ladder", "folds"} <= named(sections, Picture)
    wanted = {
        "trials",
        "predictions",
        "performance",
        "ladder",
        "comparisons",
        "folds",
        "sheet",
        "hashes",
        "cost",
    }
    assert wanted <= named(sections, Table)


def test_what_was_not_run_is_named_with_its_command(sections: list[Section]) -> None:
    lines = [block.line for section in sections for block in section.blocks if isinstance(block, Command)]
    assert "radsearch test shallow" in lines
    assert "radsearch rescore shallow" in lines
    assert "radsearch audit shallow" in lines


def test_every_link_of_the_sheet_leads_to_a_place_of_the_page(sections: list[Section]) -> None:
    page = render("t", "h", written_by(), sections)
    links, ids = re.findall(r'<a [^>]*href="#([^"]+)"', page), re.findall(r' id="([^"]+)"', page)
    assert links
    assert set(links) <= set(ids)
    assert len(ids) == len(set(ids))


def test_no_id_of_the_cohort_and_no_path_is_on_the_page(evidence: Evidence, sections: list[Section]) -> None:
    text = render("t", "h", written_by(), sections)
    files = "\n".join(
        line
        for section in sections
        for block in section.blocks
        if isinstance(block, Table)
        for line in block.lines()
    )
    assert evidence.material is not None
    patches = evidence.material.patches
    for name in {*patches.biopsy_id, *patches.participant_id}:
        assert not re.search(rf"\b{re.escape(name)}\b", text)
        assert not re.search(rf"\b{re.escape(name)}\b", files)
    assert str(evidence.folder.root.parents[1]) not in text


def test_a_page_without_the_cohort_leaves_the_pictures_of_patches_out(evidence: Evidence) -> None:
    found = contents(replace(evidence, material=None))
    assert "grid" not in named(found, Picture)
    assert "predictions" in named(found, Table)


def test_a_study_without_a_complete_trial_has_a_page(evidence: Evidence) -> None:
    bare = replace(
        evidence, predictions=None, honest=None, outputs=None, measured={}, pairs=0, steps=(), trials=()
    )
    text = render("t", "h", written_by(), contents(bare))
    assert "No trial is complete, so nothing can be said yet." in text
    assert "nan" not in text.split("<main>")[1].split("figure-flow")[0]
