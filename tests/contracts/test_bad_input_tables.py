"""cohort.toml and the tables of a cohort, spoilt by hand and at random."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.cohort import read_cohort
from data_prep.places import is_plain_name
from data_prep.problems import InputError
from tests.contracts.bad_input import RUN, Case, both, check_refused, replaced, tree, written

TOML, BIOPSIES, EXPRESSION = "cohort/cohort.toml", "cohort/biopsies.tsv", "cohort/expression.tsv"
MANY = 10**5


def cell(file: str, row: int, column: str, value: str) -> Callable[[Path], None]:
    """Set a cell; rows count from 1, the header."""

    def spoil(world: Path) -> None:
        lines = [line.split("\t") for line in (world / file).read_text().splitlines()]
        lines[row - 1][lines[0].index(column)] = value
        (world / file).write_bytes("".join("\t".join(line) + "\n" for line in lines).encode())

    return spoil


def encoded(file: str, encoding: str, old: str = "", new: str = "") -> Callable[[Path], None]:
    def spoil(world: Path) -> None:
        text = (world / file).read_text()
        (world / file).write_bytes(text.replace(old, new, 1).encode(encoding))

    return spoil


def appended(file: str, text: str) -> Callable[[Path], None]:
    return lambda world: (world / file).open("a").write(text)


def widened(world: Path) -> None:
    """100,000 columns, the last of them with a negative value."""
    lines = (world / EXPRESSION).read_text().splitlines()
    names = "\t".join(f"gene{number}" for number in range(MANY))
    cells = "\t0" * (MANY - 1)
    rows = [f"{line}{cells}\t{-1 if number == 1 else 0}" for number, line in enumerate(lines[1:], start=1)]
    (world / EXPRESSION).write_text("\n".join([f"{lines[0]}\t{names}", *rows]))


def doubled(world: Path) -> None:
    """100,000 columns of the same name."""
    lines = (world / EXPRESSION).read_text().splitlines()
    (world / EXPRESSION).write_text("\n".join(line + "\tx" * MANY for line in lines))


CELL = r"biopsies.tsv: row 3, column participant_id: must be a plain name, as it is part of a path, but got"
NAMES = {
    "..": r"'\.\.'",
    ".": r"'\.'",
    "../sub-001": "",
    "sub-001/../sub-002": "",
    "/etc/passwd": "",
    "a\\b": "",
    "C:": "",
    "C:\\sub": "",
    "sub\0-001": r"'sub\\x00-001'",
    "a" * 256: "",
    "é" * 128: "",
    "sub\x1b[31m": r"'sub\\x1b\[31m'",
    "sub\u2028001": r"'sub\\u2028001'|'sub 001'",
    "sub\x85001": "",
    "sub\u202e100": r"'sub\\u202e100'",
    "sub\u200b": "",
}
NUMBERS = {
    "abc": "",
    "": "",
    "1e999": "",
    "nan": "",
    "-inf": "",
    "0x1F": "",
    "1,5": "",
    "1_000": "",
    "\uff11": "",
    "1e": "",
    "--1": "",
    '"3"': "",
}

CASES = [
    *(
        Case(
            f"a participant called {name[:12]!r}",
            cell(BIOPSIES, 3, "participant_id", name),
            CELL + ".*" + says,
        )
        for name, says in NAMES.items()
    ),
    Case(
        "no participant", cell(BIOPSIES, 3, "participant_id", ""), r"row 3, .*: a value is needed, but got ''"
    ),
    *(
        Case(
            f"a coordinate {text!r}",
            cell(BIOPSIES, 4, "y", text),
            r"biopsies.tsv: row 4, column y: a number is needed",
        )
        for text in NUMBERS
    ),
    *(
        Case(
            f"expression {text!r}", cell(EXPRESSION, 4, "CD3D", text), r"expression.tsv: row 4, column CD3D: "
        )
        for text in ("abc", "1e999", "nan", "-1", "1e300", "1,5", "0x1F", '"3"')
    ),
    Case(
        "a site outside",
        cell(BIOPSIES, 4, "y", "1e300"),
        r"biopsies.tsv: row 4, columns x, y, z: a site must lie",
    ),
    Case(
        "an id that clears the screen",
        cell(BIOPSIES, 3, "biopsy_id", "b\x1b[2Jc"),
        r"biopsy_id: must be plain text.*'b\\x1b\[2Jc'",
    ),
    Case(
        "an id with a line separator",
        cell(BIOPSIES, 3, "biopsy_id", "b\u2028c"),
        r"row 3, column biopsy_id: must be plain text",
    ),
    Case(
        "an id twice",
        cell(BIOPSIES, 3, "biopsy_id", "b00"),
        r"row 3, column biopsy_id: must be unique, but got 'b00'",
    ),
    Case(
        "expression of one biopsy twice",
        cell(EXPRESSION, 3, "biopsy_id", "b00"),
        r"expression.tsv: row 3, .*: must be unique",
    ),
    Case(
        "expression of other biopsies",
        both(*(cell(EXPRESSION, row, "biopsy_id", f"q{row}") for row in range(2, 10))),
        r"some row must name one of the biopsies",
    ),
    Case(
        "a column twice",
        replaced(BIOPSIES, "z\n", "x\n"),
        r"biopsies.tsv: row 1, column x: a column name must occur once",
    ),
    Case(
        "a column without a name",
        replaced(BIOPSIES, "\tz\n", "\t\n"),
        r"biopsies.tsv: row 1: column 5 needs a name",
    ),
    Case(
        "a column that clears the screen",
        replaced(EXPRESSION, "CD3E", "\x1b[2J"),
        r"expression.tsv: row 1: a column name must be plain text",
    ),
    Case(
        "no such column",
        replaced(BIOPSIES, "participant_id", "participant"),
        r"column participant_id: the column is required",
    ),
    Case(
        "a row too short",
        replaced(BIOPSIES, "b02\t", "b02"),
        r"biopsies.tsv: row 4: 5 tab-separated cells are needed, but got 4",
    ),
    Case(
        "a row too long",
        replaced(BIOPSIES, "b02\t", "b02\t\t"),
        r"biopsies.tsv: row 4: 5 tab-separated cells are needed, but got 6",
    ),
    Case(
        "commas for tabs",
        encoded(BIOPSIES, "utf-8", "biopsy_id\tparticipant_id\tx\ty\tz", "biopsy_id,participant_id,x,y,z"),
        r"separated by tabs",
    ),
    Case("an empty table", written(BIOPSIES, ""), r"biopsies.tsv: row 1: a header row is needed"),
    Case(
        "a header alone",
        written(BIOPSIES, "biopsy_id\tparticipant_id\tx\ty\tz\n"),
        r"biopsies.tsv: row 2: at least one data row",
    ),
    Case("a blank table", written(BIOPSIES, " \n \n"), r"biopsies.tsv: row 1: a header row"),
    Case("an empty expression table", written(EXPRESSION, b""), r"expression.tsv: row 1: a header row"),
    Case(
        "expression without a gene",
        written(EXPRESSION, "biopsy_id\nb00\n"),
        r"expression.tsv: row 1: a column for each gene",
    ),
    Case("UTF-16", encoded(BIOPSIES, "utf-16"), r"biopsies.tsv: UTF-8 text is needed, but byte 0 is not"),
    Case("UTF-32", encoded(EXPRESSION, "utf-32"), r"expression.tsv: UTF-8 text is needed"),
    Case(
        "Latin-1",
        encoded(BIOPSIES, "latin-1", "b02", "b\xfc2"),
        r"biopsies.tsv: UTF-8 text is needed, but byte \d+ is not",
    ),
    Case("zeros for a table", written(BIOPSIES, bytes(5000)), r"biopsies.tsv: "),
    Case(
        "a picture for a table",
        written(BIOPSIES, b"\x89PNG\r\n\x1a\n" + bytes(range(256))),
        r"biopsies.tsv: UTF-8 text is needed",
    ),
    Case(
        "a cell of a megabyte",
        cell(BIOPSIES, 4, "x", "9" * 10**6 + "x"),
        r"row 4, column x: a number is needed, but got '9+ \[\.\.\.\] 9+x'",
    ),
    Case("a name of a megabyte", cell(BIOPSIES, 3, "participant_id", "s" * 10**6), CELL),
    Case(
        "100,000 columns, one wrong", widened, rf"row 2, column gene{MANY - 1}: expression cannot be negative"
    ),
    Case("100,000 columns of one name", doubled, r"row 1, column x: a column name must occur once"),
    Case(
        "100,000 rows too short",
        appended(BIOPSIES, "a\tb\n" * 2000),
        r"row 2009: 5 tab-separated cells are needed",
    ),
    Case("no table", lambda world: (world / BIOPSIES).unlink(), r"biopsies.tsv: the file must be readable"),
    Case("no cohort.toml", lambda world: (world / TOML).unlink(), r"cohort.toml: the file must be readable"),
    Case(
        "no cohort",
        lambda world: shutil.rmtree(world / "cohort"),
        r"cohort.toml: the file must be readable",
        RUN,
    ),
    Case("an empty cohort.toml", written(TOML, ""), r"cohort.toml: images: the key is required"),
    Case("no TOML", written(TOML, b"\x00\x01\x02"), r"cohort.toml: TOML is needed"),
    Case("cohort.toml in UTF-16", encoded(TOML, "utf-16"), r"cohort.toml: TOML is needed"),
    Case("a cohort.toml of a megabyte", written(TOML, "#" * 2**20), r"cohort.toml: .*[Ll]arger than"),
    Case(
        "lists without end",
        written(TOML, "x = " + "[" * 5000),
        r"cohort.toml: TOML is needed, but got: tables and lists must",
    ),
    Case(
        "a key without end",
        written(TOML, "a." * 50000 + "a = 1"),
        r"cohort.toml: TOML is needed, but got: tables and lists must",
    ),
    Case(
        "a table in tables",
        written(TOML, "x = " + "{a=" * 30 + "1" + "}" * 30),
        r"cohort.toml: TOML is needed.* 16 levels",
    ),
    Case(
        "a number without end",
        written(TOML, "name = 0x" + "f" * 5000),
        r"cohort.toml: TOML is needed.*name: a whole number has",
    ),
    Case("a number of 5000 digits", written(TOML, "name = " + "9" * 5000), r"cohort.toml: TOML is needed"),
    Case(
        "a date for a name",
        replaced(TOML, '"toy"', "1979-05-27"),
        r"cohort.toml: name: should be a valid string",
    ),
    Case(
        "a name that clears the screen",
        replaced(TOML, '"toy"', '"\\u001b[2J"'),
        r"cohort.toml: name: plain text is needed",
    ),
    Case(
        "an unknown key",
        replaced(TOML, "name =", "nmae = 1\nname ="),
        r"cohort.toml: nmae: unknown key.*did you mean 'name'",
    ),
    Case(
        "a sequence that climbs",
        replaced(TOML, "['T1', 'T2']", "['T1', '..']"),
        r"cohort.toml: sequences: plain names are needed",
    ),
    Case(
        "a sequence with a separator",
        replaced(TOML, "['T1', 'T2']", "['T1', 'a/b']"),
        r"cohort.toml: sequences: plain names are needed",
    ),
    Case(
        "a sequence with NUL",
        replaced(TOML, "['T1', 'T2']", '["T1", "\\u0000"]'),
        r"cohort.toml: sequences: plain names.*\\x00",
    ),
    Case(
        "a sequence of 300 letters",
        replaced(TOML, "['T1', 'T2']", f"['T1', '{'s' * 300}']"),
        r"cohort.toml: sequences: plain names",
    ),
    Case(
        "a sequence without a name",
        replaced(TOML, "['T1', 'T2']", "['T1', '']"),
        r"cohort.toml: sequences: plain names",
    ),
    Case(
        "100 sequences of one name",
        replaced(TOML, "['T1', 'T2']", str(["T1"] * 100)),
        r"cohort.toml: sequences: names must be unique",
    ),
    Case("no sequences", replaced(TOML, "['T1', 'T2']", "[]"), r"cohort.toml: sequences: must not be empty"),
    Case(
        "a template with NUL",
        replaced(TOML, 'images = "', 'images = "\\u0000'),
        r"cohort.toml: images: plain text is needed",
    ),
    Case(
        "a table with NUL",
        replaced(TOML, '"biopsies.tsv"', '"a\\u0000b"'),
        r"cohort.toml: biopsies: plain text is needed",
    ),
    Case(
        "a table of 300 letters",
        replaced(TOML, '"biopsies.tsv"', f'"{"t" * 300}"'),
        r"t{300}: the file must be readable, but got 'File name too long'",
    ),
    Case(
        "a template of 300 letters",
        replaced(TOML, '"{participant_id}', f'"{"t" * 300}{{participant_id}}'),
        r"t{300}\S+: the file must be readable, but got 'File name too long'",
    ),
    Case(
        "a template with a format",
        replaced(TOML, "{participant_id}", "{participant_id:>1000000000}"),
        r"cohort.toml: images: braces must hold",
    ),
    Case(
        "a template with an attribute",
        replaced(TOML, "{participant_id}", "{participant_id.__class__}"),
        r"cohort.toml: images: braces must hold",
    ),
    Case(
        "a template with a number",
        replaced(TOML, "{participant_id}", "{0}"),
        r"cohort.toml: images: braces must hold",
    ),
    Case(
        "a template of another kind",
        replaced(TOML, ".nii.gz", ".hdr"),
        r"cohort.toml: images: must end in .nii or .nii.gz",
    ),
    Case(
        "a sequence that nobody has",
        replaced(TOML, "'T2'", "'T3'"),
        r"cohort.toml: sequences: somebody must have 'T3'",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_spoilt_table_is_refused(case: Case, world: Path) -> None:
    check_refused(case, world)


SOUND = [encoded(BIOPSIES, "utf-8-sig"), encoded(EXPRESSION, "utf-8-sig"), encoded(TOML, "utf-8-sig")]


@pytest.mark.parametrize("harmless", [*SOUND, appended(BIOPSIES, "\n\n"), appended(TOML, "\r\n")])
def test_what_editors_do_to_files_is_no_problem(world: Path, harmless: Callable[[Path], None]) -> None:
    expected = read_cohort(world / "cohort").biopsies
    harmless(world)
    assert read_cohort(world / "cohort").biopsies == expected


def test_any_line_ends_are_read(world: Path) -> None:
    expected = read_cohort(world / "cohort").biopsies
    for ends in (b"\r\n", b"\r"):
        for file in (BIOPSIES, EXPRESSION, TOML):
            content = (world / file).read_bytes().replace(b"\r\n", b"\n").replace(b"\r", b"\n")
            (world / file).write_bytes(content.replace(b"\n", ends))
        assert read_cohort(world / "cohort").biopsies == expected


@given(st.text(max_size=20) | st.text("./\\:~\0 \u2028", max_size=5))
def test_a_plain_name_never_leaves_its_folder(name: str) -> None:
    if is_plain_name(name):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / name).mkdir()
            assert [path.name for path in Path(folder).iterdir()] == [name]
            assert (Path(folder) / name).resolve().parent == Path(folder).resolve()


EDIT = st.tuples(
    st.sampled_from([TOML, BIOPSIES, EXPRESSION]),
    st.floats(0, 1),
    st.integers(0, 12),
    st.text(st.characters(codec="utf-8"), max_size=6)
    | st.sampled_from(["\t", "\n", '"', "..", "{", "[", "=", "\0"]),
)


def read_or_refused(folder: Path) -> tuple[tuple, tuple]:
    """The biopsies of a cohort, or its problems."""
    try:
        return read_cohort(folder).biopsies, ()
    except InputError as error:
        return (), error.problems


@settings(max_examples=250)
@given(edits=st.lists(EDIT, min_size=1, max_size=4))
def test_random_edits_are_read_or_refused_in_lines(sound_world: Path, edits: list) -> None:
    with tempfile.TemporaryDirectory() as name:
        world = Path(name)
        (world / "cohort").mkdir()
        for path in (sound_world / "cohort").iterdir():
            if path.is_dir():  # images are not edited
                (world / "cohort" / path.name).symlink_to(path)
            else:
                shutil.copy(path, world / "cohort")
        replaced(TOML, "name =", "follow_links = true\nname =")(world)
        for file, place, removed, added in edits:
            text = (world / file).read_text()
            start = int(place * len(text))
            (world / file).write_bytes((text[:start] + added + text[start + removed :]).encode())
        before = tree(world)
        biopsies, problems = read_or_refused(world / "cohort")
        assert bool(biopsies) != bool(problems)
        assert all(b.biopsy_id.isprintable() and is_plain_name(b.participant_id) for b in biopsies)
        assert all(line.isprintable() and ":" in line for line in problems)
        assert len(set(problems)) == len(problems)
        assert tree(world) == before
