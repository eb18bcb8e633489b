from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from data_prep.check.findings import Finding
from data_prep.check.subject import Subject
from search.gallery.cards import make_card
from search.gallery.page import headline, name_of, render

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
