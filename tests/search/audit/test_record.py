from __future__ import annotations

from pathlib import Path

import pytest

from search.audit.record import LEAK, PASSED, SUSPICIOUS, Audit, Check, audit_path, read_audit, write_audit
from search.home import StudyFolder

AUDIT = Audit(
    "s",
    "2026-01-01T00:00:00+00:00",
    1.5,
    {"folds": "f"},
    {"numpy": "2"},
    (
        Check("a", PASSED, "It holds {braces}."),
        Check(
            "b", LEAK, "{0} is {1}.", ("p", "q{0}"), {"pairs": [{"participants": ["p", "q{0}"], "r": 0.5}]}
        ),
        Check("c", SUSPICIOUS, "Perhaps."),
    ),
)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    assert read_audit(folder) is None
    write_audit(folder, AUDIT)
    again = read_audit(folder)
    assert again is not None
    assert again.to_json() == AUDIT.to_json()
    assert ([c.name for c in again.leaks], [c.name for c in again.suspicions]) == (["b"], ["c"])
    assert [path.name for path in tmp_path.iterdir()] == ["audit.json"]


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"checks": [{}]}', "not json"])
def test_what_is_no_audit_counts_as_none(tmp_path: Path, text: str) -> None:
    audit_path(StudyFolder(tmp_path)).write_text(text)
    assert read_audit(StudyFolder(tmp_path)) is None


def test_sentences_hold_ids_as_they_are_and_other_names_go_wherever_an_id_stood() -> None:
    assert [check.sentence for check in AUDIT.checks] == ["It holds {braces}.", "p is q{0}.", "Perhaps."]
    told = AUDIT.renamed({"p": "P01", "q{0}": "P02"})
    assert told.checks[1].sentence == "P01 is P02."
    assert told.checks[1].figures == {"pairs": [{"participants": ["P01", "P02"], "r": 0.5}]}
    assert "q{0}" not in str(told.to_json())
