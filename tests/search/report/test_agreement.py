"""What the report takes of `retest.json`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from search.home import StudyFolder
from search.report.agreement import read_agreement
from search.report.phrases import Range
from tests.search.report.second_scans import RECORD


def written(root: Path, record: Any) -> StudyFolder:
    (root / "retest.json").write_text(record if isinstance(record, str) else json.dumps(record))
    return StudyFolder(root)


def test_figures_are_those_of_the_record_and_no_participant_is_named(tmp_path: Path) -> None:
    found = read_agreement(written(tmp_path, RECORD))
    assert found is not None
    assert (found.trials, found.is_named, found.biopsies, found.participants) == (
        (4, 2),
        False,
        (24, 36),
        (8, 12),
    )
    assert found.probabilities.icc == Range(0.81, 0.7, 0.9)
    assert (found.probabilities.flips.value, found.probabilities.by_chance) == (0.125, 0.5)
    assert found.maps is not None
    assert (found.maps.sites, found.stride_mm, found.map_icc) == (640, 4.0, Range(0.77, 0.5, 0.93))
    assert (found.features, found.good, found.excellent, found.stands_in) == (40, 30, 10, True)
    assert "sub-001" not in repr(found)


def test_intervals_are_over_participants_where_the_record_has_such(tmp_path: Path) -> None:
    sites = RECORD["probabilities"]
    textbook = {**sites["icc"]["A"], "ci95_participants": None, "ci95_textbook": [0.7, 0.9]}
    record = {**RECORD, "probabilities": {**sites, "icc": {"A": textbook}}}
    drawn, alone = (read_agreement(written(tmp_path, one)) for one in (RECORD, record))
    assert drawn is not None
    assert alone is not None
    assert (drawn.probabilities.is_drawn, alone.probabilities.is_drawn) == (True, False)


def test_without_maps_and_without_an_icc(tmp_path: Path) -> None:
    flat = {**RECORD["probabilities"], "reason": "no fold's model tells its sites apart", "flips": None}
    nothing = {"value": None, "ci95": None, "ci95_participants": None, "ci95_textbook": None}
    flat["icc"] = {"A": nothing}
    found = read_agreement(written(tmp_path, {**RECORD, "maps": None, "probabilities": flat}))
    assert found is not None
    assert (found.maps, found.stride_mm) == (None, None)
    assert found.probabilities.icc == found.probabilities.flips == Range(None, None, None)


@pytest.mark.parametrize(
    "content",
    ["", "torn", "[]", "null", "{}", {**RECORD, "maps": 3}, {**RECORD, "probabilities": {"sites": "many"}}],
    ids=str,
)
def test_what_no_retest_wrote_is_nobodys(tmp_path: Path, content: Any) -> None:
    assert read_agreement(StudyFolder(tmp_path)) is None
    assert read_agreement(written(tmp_path, content)) is None
