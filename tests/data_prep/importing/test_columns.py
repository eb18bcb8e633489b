"""Columns by usual names and as told."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from data_prep.importing.columns import Columns, find_columns
from data_prep.importing.records import ImportOptions
from data_prep.importing.sheets import Sheet
from data_prep.problems import Problems
from data_prep.tables import Row

Options = Callable[..., ImportOptions]


def sheet_of(*columns: str) -> Sheet:
    return Sheet("t.csv", 1, columns, (Row(2, tuple(map(str, range(len(columns))))),))


def columns_of(options: Options, *columns: str, told: tuple[str, ...] = ()) -> Columns:
    problems = Problems()
    found = find_columns(sheet_of(*columns), options(columns=told), problems)
    problems.raise_any()
    assert found.sound
    return found


@pytest.mark.parametrize(
    ("columns", "space", "convention"),
    [
        (("biopsy_id", "participant_id", "x", "y", "z"), None, None),
        (("Biopsy", "Patient ID", "X (mm)", "Y (mm)", "Z (mm)"), "world", None),
        (("Sample", "Subject", "x_voxel", "y_voxel", "z_voxel"), "voxel", None),
        (("BX-ID", "Case", "coord x LPS", "coord y LPS", "coord z LPS"), "world", "LPS"),
        (("biopsy", "patient", "R", "A", "S"), "world", "RAS"),
        (("biopsy", "patient", "i", "j", "k"), "voxel", None),
    ],
)
def test_usual_names(
    options: Options, columns: tuple[str, ...], space: str | None, convention: str | None
) -> None:
    found = columns_of(options, *columns)
    assert [mapped.theirs for mapped in found.mapped] == list(columns)
    assert (found.space, found.convention) == (space, convention)


def test_what_is_told_comes_before_usual_names_and_several_columns_can_be_joined(options: Options) -> None:
    names = ("biopsy", "Pat. {no}", "patient", "x", "y", "z", "Lat.")
    found = columns_of(
        options, *names, told=("x=Lat.", "biopsy_id={patient}-{biopsy}", "participant_id=biopsy")
    )
    record = dict(zip(names, "abcdefg", strict=True))
    assert [found.of(role, record) for role in ("biopsy_id", "participant_id", "x")] == ["c-a", "a", "g"]


def test_one_axis_may_be_told_and_all_three_say_the_space(options: Options) -> None:
    names = ("biopsy", "patient", "Lat. (mm)", "y (mm)", "z (mm)")
    found = columns_of(options, *names, told=("x=Lat. (mm)",))
    assert [mapped.theirs for mapped in found.mapped] == list(names)
    assert found.space == "world"
    assert columns_of(options, *names[:2], "Lat.", *names[3:], told=("x=Lat.",)).space is None


def test_all_that_is_missing_or_unclear_is_said_at_once(options: Options) -> None:
    problems = Problems()
    sheet = sheet_of("Patient ID", "patient_id", "X", "X", "Y", "note")
    found = find_columns(sheet, options(columns=("z=Zett", "w=note")), problems)
    assert not found.sound
    assert {mapped.ours: mapped.theirs for mapped in found.mapped} == {"participant_id": "Patient ID"}
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - each line is matched below
        problems.raise_any()
    text = str(caught.value)
    for line in (
        "column X: a column name must occur once",
        "--map z=Zett: unknown column 'Zett'",
        "--map w=note: ROLE=COLUMN is needed",
        "'Patient ID' and 'patient_id' may be it",
        "column biopsy_id: the column is required",
        "column x: the column is required",
    ):
        assert line in text


def test_attributes_and_formats_are_no_columns(options: Options) -> None:
    problems = Problems()
    sheet = sheet_of("biopsy", "patient", "x", "y", "z")
    find_columns(sheet, options(columns=("biopsy_id={biopsy.__class__}",)), problems)
    with pytest.raises(ValueError, match=r"unknown column 'biopsy.__class__'"):
        problems.raise_any()
