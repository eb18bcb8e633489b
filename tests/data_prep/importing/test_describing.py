"""An import in words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from data_prep.importing.describing import details, summary
from data_prep.importing.records import Found, ImportPlan, LeftOut, Mapped, Placed


def plan() -> ImportPlan:
    files = tuple(Found(Path(f"P{n}"), f"P{n}/T1.nii", f"P{n}", None, "T1") for n in range(12))
    return ImportPlan(
        Path("out"),
        (Placed(Path("P0"), "P0/T1.nii", "P0/T1.nii", "copy"),),
        {"cohort.toml": 'name = "out"\n', "biopsies.tsv": "a\nb\n"},
        ("{participant_id}/{sequence}",),
        True,
        files,
        (Mapped("x", "X (mm)", "by its name"),),
        1,
        1,
        ("a note",),
        ("a\x1b[31m warning",),
        tuple(LeftOut(f"file {n}", "no reason") for n in range(12)),
    )


def test_the_summary_counts_what_was_matched_and_cuts_lists_short() -> None:
    text = "\n".join(summary(plan()))
    assert "Images: {participant_id}/{sequence} (guessed from the names)" in text
    assert "participant: 12 [files]: P0 (1), P1 (1), P10 (1)" in text
    assert "and 4 more" in text
    assert "sequence: 1 [files]: T1 (12)" in text
    assert "x <- X (mm) (by its name)" in text
    assert r"a\x1b[31m warning" in text
    assert "no reason (12): file 0, " in text


def test_the_details_leave_nothing_out() -> None:
    lines = details(plan())
    assert [f"  file {n}: no reason" in lines for n in range(12)] == [True] * 12
    assert "  copy  P0/T1.nii -> P0/T1.nii" in lines
    assert "  write  biopsies.tsv (2 lines)" in lines
    assert '  name = "out"' in lines


@pytest.mark.parametrize(
    ("how", "guessed", "words"),
    [
        (("{participant_id}/{sequence}",), False, "{participant_id}/{sequence} (as told)"),
        (("BIDS",), False, "BIDS (by entities)"),
    ],
)
def test_the_first_line_says_who_named_the_images(how: tuple[str, ...], guessed: bool, words: str) -> None:
    assert summary(replace(plan(), how=how, guessed=guessed))[0] == f"Images: {words}"
