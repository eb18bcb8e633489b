"""Names in Markdown show as they are: read back by a parser of CommonMark."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from data_prep.problems import one_line
from search.deployment.markdown import bullets, escaped, table

READER = MarkdownIt("commonmark").enable("table")


def text_of(markdown: str) -> list[str]:
    """What a reader sees of each block, without its markup; nothing but text may be in it."""
    found = []
    for token in READER.parse(markdown):
        if token.type == "inline":
            assert all(child.type == "text" for child in token.children or [])
            found.append("".join(child.content for child in token.children or []))
    return found


@given(st.text(min_size=1, max_size=60))
def test_any_name_reads_as_it_is(name: str) -> None:
    shown = re.sub(r"\s+", " ", one_line(name)).strip()
    assert text_of(f"Name: {escaped(name)}.") == [f"Name: {shown}."]
    assert text_of(table(("a", "b"), [(f"x{escaped(name)}", "1")])) == ["a", "b", f"x{shown}".rstrip(), "1"]


def test_a_list_is_one() -> None:
    tokens = [token.type for token in READER.parse(bullets(["a", "b"]))]
    assert tokens.count("list_item_open") == 2
