from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.problems import InputError, Problems
from data_prep.tables import parse_number, read_table, require_columns


def read(path: Path, content: bytes) -> tuple[object, str]:
    path.write_bytes(content)
    problems = Problems()
    table = read_table(path, problems)
    try:
        problems.raise_any()
    except InputError as error:
        return table, str(error)
    return table, ""


def test_rows_are_numbered_as_in_an_editor(tmp_path):
    table, problems = read(tmp_path / "t.tsv", b"\xef\xbb\xbfa\tb\r\n1\t n/a \r\n\r\n3\t4\r\n")
    assert table.columns == ("a", "b")
    assert [(row.number, row.cells) for row in table.rows] == [(2, ("1", "n/a")), (4, ("3", "4"))]
    assert problems == ""


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "t.tsv: row 1: a header row is needed, but the file is empty."),
        (b"a\tb\n", "t.tsv: row 2: at least one data row is needed, but got none."),
        (b"a\tb\n1\n1\t2\n", "t.tsv: row 2: 2 tab-separated cells are needed, but got 1."),
        (b"a\ta\n1\t2\n", "t.tsv: row 1, column a: a column name must occur once, but it is repeated."),
        (b"a\t\n1\t2\n", "t.tsv: row 1: column 2 needs a name, but got none."),
        (b"a\tb\n1\t\xff\n", "t.tsv: UTF-8 text is needed, but byte 6 is not. Save it as UTF-8."),
    ],
)
def test_a_broken_table_gives_one_line(tmp_path, content, problem):
    assert read(tmp_path / "t.tsv", content)[1] == problem


def test_an_absent_table_is_a_problem(tmp_path):
    problems = Problems()
    assert read_table(tmp_path / "none.tsv", problems) is None
    with pytest.raises(InputError, match=r"none\.tsv: the file must be readable"):
        problems.raise_any()


def test_missing_columns_are_named_with_the_nearest_known_one(tmp_path):
    table, _ = read(tmp_path / "t.tsv", b"biopsy\tx\n1\t2\n")
    problems = Problems()
    assert not require_columns(table, ["biopsy_id", "x"], problems)
    with pytest.raises(InputError, match=r"row 1, column biopsy_id: .* did you mean 'biopsy'\?"):
        problems.raise_any()


def test_a_table_with_commas_is_recognised(tmp_path):
    table, _ = read(tmp_path / "t.tsv", b"biopsy_id,x\n1,2\n")
    problems = Problems()
    require_columns(table, ["x"], problems)
    with pytest.raises(InputError, match="separated by tabs"):
        problems.raise_any()


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_finite_number_is_read_back(value):
    assert parse_number(repr(value)) == value


@pytest.mark.parametrize("text", ["abc", "", "n/a", "nan", "inf", "1e999", "1_000", "3,5", "\u0663"])
def test_anything_but_a_finite_number_is_refused(text):
    with pytest.raises(InputError, match="a number is needed, but got"):
        parse_number(text)
