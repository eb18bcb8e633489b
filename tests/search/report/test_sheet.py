"""The reporting sheet: no item is filled in by a section that the page does not have."""

from __future__ import annotations

from search.report.blocks import Link
from search.report.sheet import AUTHOR, FILLED, ITEMS, PARTLY, Item, sheet_table

EVERY = {anchor for item in ITEMS for anchor in item.anchors}


def test_an_item_is_as_filled_as_its_sections_are_there() -> None:
    whole, half = Item("G", "1", "t", ("a", "b")), Item("G", "2", "t", ("a",), "the rest")
    assert [whole.status(shown) for shown in ({"a", "b"}, {"a"}, set())] == [FILLED, PARTLY, AUTHOR]
    assert [half.status(shown) for shown in ({"a"}, set())] == [PARTLY, AUTHOR]
    assert Item("G", "3", "t").status({"a"}) == AUTHOR


def test_an_empty_page_fills_nothing_in() -> None:
    table = sheet_table(set(), {})
    assert {row[3] for row in table.rows} == {AUTHOR}
    assert all(row[4] is None for row in table.rows)


def test_every_answer_links_to_a_section_of_the_page() -> None:
    table = sheet_table(EVERY, {anchor: anchor.upper() for anchor in EVERY})
    for row in table.rows:
        links = row[4] or ()
        assert all(isinstance(link, Link) and link.anchor in EVERY for link in links)
        assert bool(links) == (row[3] != AUTHOR)


def test_what_was_not_run_is_left_open_with_its_reason() -> None:
    table = sheet_table(EVERY - {"audit"}, {})
    (row,) = [row for row in table.rows if row[2] == "confounders"]
    assert row[3:] == (AUTHOR, None, "the audit was not run")


def test_numbers_of_items_are_those_of_the_science_note() -> None:
    numbers = {
        name: [int(item.number) for item in ITEMS if item.guideline == name]
        for name in ("TRIPOD+AI", "METRICS")
    }
    assert numbers["TRIPOD+AI"] == [*range(7, 14), 14, 15, 16, 18, *range(20, 24)]
    assert numbers["METRICS"] == [3, 6, *range(11, 24)]


def test_what_the_page_does_not_show_is_not_said_to_be_filled() -> None:
    status = {(row[0], row[1]): row[3] for row in sheet_table(EVERY, {}).rows}
    assert status["TRIPOD+AI", "14"] == AUTHOR
    partly = (("TRIPOD+AI", "15"), ("METRICS", "14"), ("METRICS", "16"))
    assert {status[item] for item in partly} == {PARTLY}


def test_what_software_cannot_know_is_the_authors() -> None:
    (row,) = [row for row in sheet_table(EVERY, {}).rows if row[2] == "ethics and consent"]
    assert row[3] == AUTHOR
