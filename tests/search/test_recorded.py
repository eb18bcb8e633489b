"""A study looked up by its name, with the dataset that its trials ran on."""

from __future__ import annotations

import shutil
from pathlib import Path

import optuna
import pytest

from data_prep.problems import InputError
from search.home import Home
from search.opening import DEFINITION, IDENTITY
from search.recorded import definition_of, material_of, recorded_study
from search.storage import open_storage


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


def without_stored(study: optuna.Study, home: Home) -> None:
    """As a version left it that kept a definition in the home alone."""
    storage = open_storage(None, home)
    storage.set_study_system_attr(study._study_id, DEFINITION, None)


@pytest.mark.parametrize(
    ("text", "told"), [(None, "is needed, but there is none"), ("{", "not a definition")]
)
def test_a_definition_that_cannot_be_read_is_told(home: Home, text: str | None, told: str) -> None:
    without_stored(recorded_study(home, None, "shallow")[0], home)
    path = home.study("shallow").definition
    path.unlink()
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=rf"study\.json: .*{told}"):
        recorded_study(home, None, "shallow")


def test_a_journal_has_the_definition_where_its_home_has_lost_it(home: Home) -> None:
    _, study = recorded_study(home, None, "shallow")
    path = home.study("shallow").definition
    edited = study.model_copy(update={"cohort": "/moved"})
    path.write_text(edited.to_json())
    assert recorded_study(home, None, "shallow")[1] == edited
    path.unlink()
    assert recorded_study(home, None, "shallow")[1] == study


def test_a_database_has_the_definition_for_every_home_which_knows_where_its_cohort_is(
    home: Home, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/trials.db"
    optuna.copy_study(
        from_study_name="shallow", from_storage=open_storage(None, home), to_storage=open_storage(url, home)
    )
    recorded, study = recorded_study(Home.at(tmp_path / "other"), url, "shallow")
    assert (len(recorded.trials), study) == (6, recorded_study(home, None, "shallow")[1])
    search = study.search.model_copy(update={"trials": 2})
    older = study.model_copy(update={"cohort": "/moved", "search": search})
    home.study("shallow").definition.write_text(older.to_json())
    assert recorded_study(home, url, "shallow")[1] == study.model_copy(update={"cohort": "/moved"})


def test_a_definition_of_another_version_in_the_storage_is_told(home: Home) -> None:
    recorded, _ = recorded_study(home, None, "shallow")
    home.study("shallow").definition.unlink()
    open_storage(None, home).set_study_system_attr(recorded._study_id, DEFINITION, '{"name": 1}')
    with pytest.raises(InputError, match="its definition in the storage must be one of this version's"):
        recorded_study(home, None, "shallow")


def test_a_home_that_the_study_was_not_run_from_is_furnished_alike(home: Home, tmp_path: Path) -> None:
    recorded, study = recorded_study(home, None, "shallow")
    other = Home.at(tmp_path / "other")
    assert material_of(study, recorded, other).hash == material_of(study, recorded, home).hash
    one, two = home.study("shallow").root, other.study("shallow").root
    for name in ("folds.tsv", "bank.tsv", "pseudonyms.tsv", "study.json"):
        assert (two / name).read_bytes() == (one / name).read_bytes(), name
    assert (two / "pseudonyms.tsv").stat().st_mode & 0o777 == 0o600
