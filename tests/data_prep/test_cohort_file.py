from pathlib import Path

import pytest

from data_prep.cohort_file import placeholders, read_cohort_file
from data_prep.problems import InputError

FULL = """
name = "mine"
images = "{participant_id}/{session}/{sequence}.nii.gz"
sequences = ["T1", "T2"]
biopsies = "biopsies.tsv"
expression = "expression.tsv"

[coordinates]
space = "world"
convention = "LPS"

[masks]
brain = "{participant_id}/brain.nii.gz"

[repeats]
images = "{participant_id}/retest/{sequence}.nii"
"""


def problems_of(folder: Path, *changes: tuple[str, str]) -> tuple[str, ...]:
    text = FULL
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (folder / "cohort.toml").write_text(text)
    with pytest.raises(InputError, match=r"cohort\.toml") as caught:
        read_cohort_file(folder / "cohort.toml")
    return caught.value.problems


def test_every_documented_key_is_read(tmp_path):
    (tmp_path / "cohort.toml").write_text(FULL)
    cohort = read_cohort_file(tmp_path / "cohort.toml")
    assert cohort.sequences == ("T1", "T2")
    assert (cohort.coordinates.space, cohort.coordinates.convention) == ("world", "LPS")
    assert cohort.masks.brain == "{participant_id}/brain.nii.gz"
    assert cohort.masks.tumor is None
    assert [key for key, _ in cohort.templates()] == ["images", "masks.brain", "repeats.images"]


def test_unknown_keys_name_the_nearest_known_one(tmp_path):
    lines = problems_of(tmp_path, ("expression =", "expresion ="), ("brain =", "brian ="))
    assert "cohort.toml: expresion: unknown key 'expresion'; did you mean 'expression'?" in lines[1]
    assert "cohort.toml: masks.brian: unknown key 'brian'; did you mean 'brain'?" in lines[0]
    assert len(lines) == 2


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (('name = "mine"', ""), "name: the key is required, but missing."),
        (('name = "mine"', "name = 3"), "name: should be a valid string, but got 3."),
        (('space = "world"', 'space = "mm"'), "coordinates.space: must be 'voxel' or 'world', but got 'mm'."),
        (('["T1", "T2"]', '"all"'), "sequences: should be a valid list, but got 'all'."),
        (('["T1", "T2"]', "[]"), "sequences: must not be empty, but got []."),
        (('["T1", "T2"]', '["T1", "T1"]'), "sequences: names must be unique, but got 'T1' repeatedly."),
        (
            ('["T1", "T2"]', '["../T1"]'),
            "sequences: plain names are needed, without / or brackets, but got '../T1'.",
        ),
        (("{sequence}.nii.gz", "T.nii.gz"), "images: '{sequence}' must tell the sequences apart"),
        (("{sequence}.nii.gz", "{sequence}.mgz"), "images: must end in .nii or .nii.gz"),
        (("{session}", "{session!r}"), "images: braces must hold a column name and nothing else"),
        (("{session}", "{session"), "images: braces must hold a column name"),
        (
            ('space = "world"', 'space = "voxel"'),
            "coordinates.convention: has a meaning only where space = 'world'.",
        ),
    ],
)
def test_an_illegal_value_gives_one_line(tmp_path, change, problem):
    (line,) = problems_of(tmp_path, change)
    assert line.startswith(f"cohort.toml: {problem}")


def test_a_value_where_a_table_belongs_is_named(tmp_path):
    lines = problems_of(tmp_path, ("[coordinates]", "coordinates = 'voxel'\n[other]"))
    assert "cohort.toml: coordinates: a table [coordinates] is needed, but got 'voxel'." in lines


def test_broken_toml_names_the_line(tmp_path):
    (line,) = problems_of(tmp_path, ('name = "mine"', "name = mine"))
    assert "TOML is needed" in line
    assert "line 2" in line


def test_an_absent_file_is_a_problem(tmp_path):
    with pytest.raises(InputError, match=r"cohort\.toml: the file must be readable"):
        read_cohort_file(tmp_path / "cohort.toml")


def test_placeholders_are_the_names_in_braces():
    assert placeholders("{a}/x{b}.nii") == ("a", "b")
    assert placeholders("plain.nii") == ()
