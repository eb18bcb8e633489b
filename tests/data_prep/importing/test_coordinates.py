"""What coordinates mean."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from data_prep.importing.columns import find_columns
from data_prep.importing.coordinates import Meaning, read_positions
from data_prep.importing.records import ImportOptions
from data_prep.importing.sheets import Sheet
from data_prep.problems import Problems
from data_prep.tables import Row

Read = Callable[..., tuple[dict[int, tuple[str, ...]], Meaning | None]]


@pytest.fixture
def read(options: Callable[..., ImportOptions]) -> Read:
    def run(
        *cells: str, names: str = "x y z", **flags: object
    ) -> tuple[dict[int, tuple[str, ...]], Meaning | None]:
        sheet = Sheet("t.csv", 1, ("biopsy", "patient", *names.split()), (Row(2, ("b", "p", *cells)),))
        problems, wanted = Problems(), options(**flags)
        columns = find_columns(sheet, wanted, problems)
        assert columns is not None
        positions, meaning, _ = read_positions(sheet, columns, sheet.records(), wanted, problems)
        problems.raise_any()
        return positions, meaning

    return run


def test_what_is_told_holds(read: Read) -> None:
    positions, meaning = read("1", "2.50", "3", space="world", convention="LPS")
    assert meaning is not None
    assert (positions, meaning.space, meaning.convention) == ({2: ("1", "2.50", "3")}, "world", "LPS")


def test_nothing_is_guessed(read: Read) -> None:
    with pytest.raises(ValueError, match=r"say --space voxel .* or --space world"):
        read("1", "2", "3")
    with pytest.raises(ValueError, match=r"say --convention RAS .* or --convention LPS"):
        read("1", "2", "-3")


def test_what_the_table_makes_certain_is_taken_and_said(read: Read) -> None:
    _, meaning = read("1", "2", "3", names="x_lps y_lps z_lps")
    assert meaning == Meaning(
        "world",
        "LPS",
        ("space = world, by the names of the columns", "convention = LPS, by the names of the columns"),
    )
    _, meaning = read("1", "2", "-3", convention="RAS")
    assert meaning is not None
    assert meaning.space == "world"
    assert "negative" in meaning.notes[0]
    _, meaning = read("1", "2", "3", names="i j k")
    assert meaning is not None
    assert meaning.space == "voxel"


def test_indices_from_one_are_stored_from_zero(read: Read) -> None:
    assert read("1", "93.5", "10", space="voxel", one_based=True)[0] == {2: ("0", "92.5", "9")}
    assert read("1", "93.5", "10", space="voxel")[0] == {2: ("1", "93.5", "10")}
    with pytest.raises(ValueError, match=r"column y: an index from 1 is needed, but got 0"):
        read("1", "0", "1", space="voxel", one_based=True)
    with pytest.raises(ValueError, match=r"column z: an index from 0 is needed, but got -4"):
        read("1", "0", "-4", space="voxel")


@pytest.mark.parametrize(
    ("flags", "names", "law"),
    [
        ({"space": "voxel", "convention": "RAS"}, "x y z", "--convention: has a meaning for --space world"),
        ({"space": "world", "convention": "RAS", "one_based": True}, "x y z", "--one-based: has a meaning"),
        ({"space": "voxel"}, "x_mm y_mm z_mm", "their names say world, but --space says voxel"),
        ({"space": "world", "convention": "RAS"}, "L P S", "their names say LPS, but --convention says RAS"),
    ],
)
def test_flags_that_contradict(read: Read, flags: dict[str, object], names: str, law: str) -> None:
    with pytest.raises(ValueError, match=law):
        read("1", "2", "3", names=names, **flags)


def test_cells_that_are_no_numbers_are_named(read: Read) -> None:
    with pytest.raises(ValueError, match=r"(?s)row 2, column x: .*'a'.*row 2, column z: .*''"):
        read("a", "1", "", space="voxel")
    assert read("1,5", "2", "3", space="voxel")[0] == {2: ("1.5", "2", "3")}
