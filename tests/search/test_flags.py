from __future__ import annotations

import argparse

import pytest

from search.flags import at_least


@pytest.mark.parametrize("text", ["2", "3", "1000"])
def test_whole_numbers_from_the_least_on_are_taken(text: str) -> None:
    assert at_least(2)(text) == int(text)


@pytest.mark.parametrize("text", ["1", "-3", "2.5", "two", ""])
def test_others_are_refused_with_the_law_and_the_value(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=f"from 2 on is needed, but got {text}"):
        at_least(2)(text)
