from __future__ import annotations

from data_prep.check.findings import Finding, ranked


def finding(severity: str, code: str) -> Finding:
    return Finding(severity, code, "T1.nii.gz", "a law, but a value.", "Do this.")


def test_the_worst_comes_first_and_what_was_said_twice_is_said_once() -> None:
    told = [finding("note", "a"), finding("error", "b"), finding("note", "c"), finding("error", "b")]
    assert [each.code for each in ranked(told)] == ["b", "a", "c"]


def test_a_line_says_where_what_and_what_to_do() -> None:
    assert finding("error", "a").line == "T1.nii.gz: a law, but a value. Do this."
    assert Finding("note", "a", "here", "something.", "").line == "here: something."
