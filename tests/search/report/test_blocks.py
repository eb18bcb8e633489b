"""Tables and pictures before they are HTML."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from search.report.blocks import Command, Link, Picture, Section, Table, Text

TABLE = Table(
    "t",
    "a table",
    ("name", "value", "where"),
    (("one", 1 / 3, (Link("a", "A"), Link("b", "B"))), ("two\tor\nthree", None, None)),
)


def test_the_file_has_numbers_in_full_and_a_line_a_row() -> None:
    assert list(TABLE.lines()) == [
        "name\tvalue\twhere",
        f"one\t{1 / 3!r}\t#a #b",
        "two or three\tn/a\tn/a",
    ]
    assert float(list(TABLE.lines())[1].split("\t")[1]) == 1 / 3


def test_the_page_has_numbers_as_they_are_read() -> None:
    assert [TABLE.text(cell) for cell in (1 / 3, None, 12345, True, "x")] == [
        "0.333",
        "-",
        "12,345",
        "yes",
        "x",
    ]
    assert TABLE.text(TABLE.rows[0][2]) == "A, B"
    assert [TABLE.numeric(column) for column in range(3)] == [False, True, False]


def test_nothing_has_no_minus() -> None:
    assert Table("t", "", ("a",), ()).text(-0.0001) == "0.000"


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="every row needs 2 cells"):
        Table("t", "", ("a", "b"), (("x",),))


def test_a_long_table_says_how_much_is_left_out() -> None:
    table = Table("t", "", ("a",), tuple((row,) for row in range(70)), shown=60)
    assert table.left_out == 10
    assert len(list(table.lines())) == 71


def test_a_section_without_blocks_answers_nothing_and_one_with_a_command_neither() -> None:
    assert not Section.of("a", "A", None, None).blocks
    assert not Section.of("a", "A", Command("why", "what")).answers
    assert Section.of("a", "A", TABLE).answers
    assert Section.of("a", "A", Text("in words", "lead")).answers


def test_pictures_that_follow_each_other_stand_together() -> None:
    one, two = Picture("one", Figure(), ""), Picture("two", Figure(), "")
    pixels = Picture("three", Image.new("L", (4, 4)), "")
    groups = Section.of("a", "A", TABLE, one, two, pixels, TABLE).groups
    assert groups == [[TABLE], [one, two], [pixels], [TABLE]]


def test_pixels_are_embedded_with_their_description_and_lines_as_lines() -> None:
    image = Image.fromarray(np.arange(16, dtype=np.uint8).reshape(4, 4))
    markup = Picture("p", image, "", 'a "grid" of <4>').markup
    assert 'src="data:image/png;base64,' in markup
    assert 'alt="a &#34;grid&#34; of &lt;4&gt;"' in markup
    assert Picture("p", Figure(), "").markup.startswith("<svg")
    assert Picture("p", Figure(), "").png.startswith(b"\x89PNG")
