"""Whether the numbers come out again, as a section of the page."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from search.home import Home
from search.opening import study_id
from search.report.agreement import Agreement
from search.report.belonging import agreement_of
from search.report.blocks import Command, Table, Text
from search.report.contents import contents
from search.report.evidence import Evidence
from search.report.retest import agreement_table, features_words, retest_section, who
from tests.search.report.second_scans import RECORD


@pytest.fixture
def found() -> Agreement:
    return Agreement.of(RECORD)


def test_a_cohort_that_declares_no_second_scans_has_no_section(evidence: Evidence) -> None:
    assert retest_section(evidence).blocks == ()
    assert retest_section(replace(evidence, material=None)).blocks == ()


def test_where_there_are_second_scans_it_says_what_to_type(evidence: Evidence) -> None:
    assert evidence.material is not None
    source = evidence.material.source
    file = type(source.file).model_validate({**source.file.model_dump(), "repeats": {"images": "a.nii"}})
    scanned = replace(evidence.material, source=replace(source, file=file))
    section = retest_section(replace(evidence, material=scanned))
    (command,) = section.blocks
    assert isinstance(command, Command)
    assert command.line == "radsearch retest shallow"
    assert not section.answers


def test_probabilities_and_maps_have_a_row_each(found: Agreement) -> None:
    table = agreement_table(found)
    assert table.rows == (
        ("at the biopsies", 24, 8, 0.81, 0.7, 0.9, 0.125, 0.5),
        ("maps, a site every 4 mm", 640, 8, 0.75, 0.6, 0.85, 0.125, 0.5),
    )
    assert "median 0.77, 0.50 to 0.93" in table.note
    assert len(agreement_table(replace(found, maps=None)).rows) == 1


def test_what_limits_the_figures_is_said(found: Agreement) -> None:
    alone = replace(found.probabilities, is_drawn=False, reason="only 2 sites")
    note = agreement_table(replace(found, probabilities=alone)).note
    assert "take biopsies as independent" in note
    assert "No ICC of the biopsies: only 2 sites." in note
    assert "independent" not in agreement_table(found).note


def test_features_are_counted_by_their_icc(found: Agreement) -> None:
    assert features_words(found) == (
        "Of 40 features (the shallow ladder's, on the network's patches), 30 (75 %) have an ICC of at least "
        "0.75, and 10 of at least 0.90."
    )
    assert "no features" in features_words(replace(found, features=0, good=0, excellent=0))


def test_who_was_scanned_twice_and_what_answered_is_said(evidence: Evidence, found: Agreement) -> None:
    assert who(found).startswith("24 of 36 biopsies (8 of 12 participants) were scanned twice;")
    assert "by trials 4 and 2," in who(found)
    assert evidence.honest is not None
    for trials, is_named, words in (
        (evidence.honest.trials, False, "of the participant."),
        ((99,), False, "The study selects others by now."),
        ((99,), True, "That trial was named by hand."),
    ):
        told = replace(evidence, retest=replace(found, trials=trials, is_named=is_named))
        text = retest_section(told).blocks[0]
        assert isinstance(text, Text)
        assert text.text.endswith(words)


def test_the_section_is_on_the_page_and_on_the_sheet(evidence: Evidence, found: Agreement) -> None:
    sections = contents(replace(evidence, retest=found))
    anchors = [section.anchor for section in sections]
    assert anchors[anchors.index("audit") - 1] == "retest"
    (sheet,) = [block for block in sections[-1].blocks if isinstance(block, Table)]
    (row,) = [row for row in sheet.rows if "scans" in str(row[2]) and row[0] == "METRICS"]
    assert "retest" in str(row[4])


@pytest.mark.parametrize("own", [True, False])
def test_second_scans_are_the_studys_whose_id_they_have(
    evidence: Evidence, tmp_path: Path, own: bool
) -> None:
    copy = Home.at(tmp_path / "home").study(evidence.name)
    shutil.copytree(evidence.folder.root, copy.root)
    record: dict[str, Any] = {**RECORD, "study_id": study_id(evidence.study) if own else "another"}
    (copy.root / "retest.json").write_text(json.dumps(record))
    assert (agreement_of(evidence.study, copy) is not None) == own
