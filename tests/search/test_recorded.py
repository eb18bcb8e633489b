"""A study looked up by its name, with the dataset that its trials ran on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from data_prep.problems import InputError
from search.home import Home
from search.opening import IDENTITY
from search.recorded import definition_of, material_of, recorded_study


@pytest.fixture
def home(shallow: Path, tmp_path: Path) -> Home:
    return Home.at(shutil.copytree(shallow / "home", tmp_path / "home"))


def test_a_study_is_found_with_its_trials_settings_and_dataset(home: Home) -> None:
    recorded, study = recorded_study(home, None, "shallow")
    assert len(recorded.trials) == study.search.trials == 6
    for told in (recorded, recorded.user_attrs[IDENTITY]):
        assert material_of(study, told, home).folds.hash == recorded.user_attrs["folds"]["hash"]
    assert definition_of(home, "shallow") == study


def test_looking_writes_nothing_into_the_study(home: Home) -> None:
    def files() -> dict[Path, bytes]:
        folders = (home.root / "studies", home.root / "optuna.journal")
        found = [path for top in folders for path in (top, *top.rglob("*")) if path.is_file()]
        return {path: path.read_bytes() for path in found}

    before = files()
    recorded, study = recorded_study(home, None, "shallow")
    material_of(study, recorded, home)
    assert files() == before


def test_a_cohort_that_moved_is_found_where_it_is_said_to_be(
    home: Home, shallow: Path, tmp_path: Path
) -> None:
    moved = shutil.copytree(shallow / "cohort", tmp_path / "moved")
    recorded, study = recorded_study(home, None, "shallow", str(moved))
    assert study.cohort == str(moved)
    assert material_of(study, recorded, home).cohort == "toy"


def test_another_cohort_is_refused(home: Home, shallow: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(shallow / "cohort", tmp_path / "moved")
    table = moved / "expression.tsv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join([lines[0], *(line.replace("\t", "\t9") for line in lines[1:])]) + "\n")
    recorded, study = recorded_study(home, None, "shallow", str(moved))
    with pytest.raises(InputError, match=r"cohort\.labels: must stay .* on what they ran on$"):
        material_of(study, recorded, home)


def test_an_unknown_study_is_told_with_the_nearest_name(home: Home) -> None:
    with pytest.raises(InputError, match=r"no study 'shalow'.*did you mean 'shallow'"):
        recorded_study(home, None, "shalow")


def test_a_home_without_studies_has_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no study 'shallow'"):
        recorded_study(Home.at(tmp_path / "new"), None, "shallow")


@pytest.mark.parametrize(
    ("text", "told"), [(None, "is needed, but there is none"), ("{", "not a definition")]
)
def test_a_definition_that_cannot_be_read_is_told(home: Home, text: str | None, told: str) -> None:
    path = home.study("shallow").definition
    path.unlink()
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=rf"study\.json: .*{told}"):
        recorded_study(home, None, "shallow")
