"""A card with less room than it needs: no section is cut, and what matters most is there."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.deployment.card import card
from search.deployment.card_short import FIRST, shortened
from tests.search.deployment.facts_by_hand import make_explanations, make_facts

PLACE = "data/2/README.md"
WHOLE = card(make_facts(), make_explanations(labels=3), 1.84)


def parts(text: str) -> list[str]:
    return [part.rstrip("\n") for part in re.split(r"(?m)^(?=## )", text)]


def test_what_fits_is_left_as_it_is() -> None:
    text = card(make_facts(), None)
    assert shortened(text, len(text), PLACE) == text


@given(st.integers(3000, len(WHOLE) + 100))
def test_sections_are_whole_or_left_out_and_the_rest_is_named(limit: int) -> None:
    text = shortened(WHOLE, limit, PLACE)
    assert len(text) <= limit
    assert text.endswith(f"\n\nThe whole card, with its pictures, is `{PLACE}`.\n")
    kept = parts(text.removesuffix(f"The whole card, with its pictures, is `{PLACE}`.\n"))
    bare = parts(re.sub(r"!\[.*\n\n", "", WHOLE))
    assert kept[0] == bare[0]
    assert set(kept) <= set(bare)
    assert [part.split("\n")[0] for part in kept[1:4]] == [f"## {title}" for title in FIRST]


@pytest.mark.parametrize("limit", [5000, 100_000])
def test_pictures_are_left_out_as_nothing_shows_them_there(limit: int) -> None:
    assert "![" in WHOLE
    text = shortened(WHOLE, limit, PLACE)
    assert "![" not in text
    assert "Honest estimate: an AUC of 0.66" in text
    assert len(text) > min(limit, 8000) * 0.8


def test_the_sections_that_come_first_are_those_of_the_card() -> None:
    assert {f"## {title}" for title in FIRST} <= set(WHOLE.splitlines())
