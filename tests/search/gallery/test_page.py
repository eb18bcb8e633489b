from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from data_prep.check.findings import Finding
from data_prep.check.reading import inspect
from data_prep.check.record import check_record
from data_prep.check.subject import Subject
from search.gallery.cards import make_card, presence
from search.gallery.page import headline, name_of, render, state
from tests.data_prep.check.heads import resave, write_heads

Look = Callable[[], Subject]


def finding(severity: str, what: str = "x") -> Finding:
    return Finding(severity, "code", "w", what, "y", "sub-001")


def test_the_headline_counts_by_severity() -> None:
    told = [finding("error"), finding("note"), finding("note")]
    assert headline(told) == "1 error, 2 notes."


def test_pages_are_named_in_order() -> None:
    assert [name_of(n) for n in range(3)] == ["gallery.html", "gallery-2.html", "gallery-3.html"]


def test_what_a_file_says_is_text_and_never_markup(looked_at: Look) -> None:
    subject = looked_at()
    evil = finding("error", "<script>alert(1)</script>")
    cards = tuple(make_card(subject, visit, n, [evil]) for n, visit in enumerate(subject.visits, 1))
    page = render(subject, [evil], [cards], 0)
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "script-src &#39;none&#39;" in page


def test_later_pages_link_back_to_the_findings_and_on_to_each_other(looked_at: Look) -> None:
    subject = looked_at()
    told = [finding("warning")]
    cards = [make_card(subject, visit, n, told) for n, visit in enumerate(subject.visits, 1)]
    parts = [tuple(cards[:1]), tuple(cards[1:])]
    first, second = (render(subject, told, parts, number) for number in range(2))
    assert 'href="gallery-2.html#p2"' in first
    assert 'href="#p1"' in first
    assert 'id="p2"' in second
    assert 'id="p2"' not in first
    assert 'href="gallery.html#f1"' in second
    assert 'href="gallery.html#p1"' in second
    assert "page 2 of 2" in second


def test_numbers_have_their_nouns_and_planes_their_directions(looked_at: Look) -> None:
    subject = looked_at()
    one = replace(subject, cohort=replace(subject.cohort, biopsies=subject.cohort.biopsies[:1]))
    card = make_card(subject, subject.visits[0], 1, [])
    page = render(one, [], [(card,)], 0)
    assert "1 participant, 1 biopsy, 2 sequences; radsearch" in page
    assert [plane.ends for plane in card.planes] == [("L", "R"), ("L", "R"), ("P", "A")]
    assert page.count(">P</text>") == page.count(">A</text>") == 1
    assert "the front (A) on the right" in page


def test_a_file_is_unreadable_in_the_page_where_it_is_in_the_terminal(tmp_path: Path) -> None:
    """Voxels that are NaN can be read, and a finding tells of them."""
    folder = write_heads(tmp_path / "cohort")
    (folder / "sub-1" / "T2.nii.gz").write_bytes(b"")
    (folder / "sub-1" / "FLAIR.nii.gz").unlink()
    (folder / "sub-1" / "brain.nii.gz").write_bytes(b"")
    resave(folder / "sub-1" / "T1.nii.gz", lambda voxels: np.full_like(voxels, np.nan))
    subject = inspect(folder)
    states = {name: state(file)[1] for name, file in presence(subject)[1][2].items()}
    assert states == {
        "T1": "present",
        "T2": "unreadable",
        "FLAIR": "absent",
        "brain mask": "unreadable",
        "tumor mask": "present",
    }
    assert check_record(subject, [])["participants"][1]["unreadable"] == ["T2"]
    (site, *_) = make_card(subject, subject.visits[1], 1, []).sites
    assert "NaN" in site.seen[0].why
