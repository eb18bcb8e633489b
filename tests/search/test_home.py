from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from data_prep.problems import InputError
from search.errors import StudyStoppedError
from search.home import Home


def test_the_home_is_the_option_then_the_environment_then_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RADSEARCH_HOME", raising=False)
    assert Home.at().root == tmp_path / "radsearch-home"
    monkeypatch.setenv("RADSEARCH_HOME", "from-environment")
    assert Home.at().root == tmp_path / "from-environment"
    assert Home.at("from-option").root == tmp_path / "from-option"


def test_everything_lies_inside_the_home(tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    study = home.study("s")
    places = [home.journal, home.tracking_artifacts, home.artifacts, home.cache, home.logs]
    places += [study.definition, study.folds, study.spool, study.logs, study.trial(3)]
    assert all(place.is_relative_to(tmp_path) for place in places)
    assert home.tracking_uri == f"sqlite:///{tmp_path}/mlflow.db"


@pytest.mark.parametrize("name", ["a b", "ü", "a\nb", "a#b", "50%", "it's", "~nobody-of-that-name"])
def test_any_name_makes_a_home_and_mlflow_a_database_in_it(name: str, tmp_path: Path) -> None:
    import sqlalchemy

    home = Home.at(tmp_path / name)
    home.check_writable()
    assert not home.root.exists()
    home.root.mkdir()
    engine = sqlalchemy.create_engine(home.tracking_uri)
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("create table x (y int)"))
    engine.dispose()
    assert [path.name for path in home.root.iterdir()] == ["mlflow.db"]


@pytest.mark.parametrize("name", ["a?b", "a%20b", "a\udcffb"])
def test_a_path_that_cannot_be_passed_on_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--home: its path must be UTF-8 without '\?' and '%'") as caught:
        Home.at(tmp_path / name)
    str(caught.value).encode()


def test_a_user_that_there_is_not_is_no_folder_of_hers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Home.at("~nobody-of-that-name/home").root == tmp_path / "~nobody-of-that-name" / "home"


def test_what_is_in_the_way_is_told_all_at_once_before_anything_is_written(tmp_path: Path) -> None:
    home = Home.at(tmp_path / "home")
    home.journal.mkdir(parents=True)
    home.cache.touch()
    home.study("s").root.mkdir(parents=True)
    home.study("s").spool.touch()
    home.study("other").root.parent.mkdir(exist_ok=True)
    home.study("other").root.touch()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError) as caught:
        home.check_writable("s")
    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        str(home.cache),
        str(home.study("s").spool),
        str(home.journal),
    ]
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
def test_a_study_of_another_user_is_her_own(
    open_folder: Path, as_nobody: Callable[[Callable[[], str]], str]
) -> None:
    home = Home.at(open_folder / "home")
    for name in ("mine", "hers"):
        home.study(name).root.mkdir(parents=True)
    for place in (home.root, home.root / "studies", home.study("mine").root):
        os.chown(place, 65534, 65534)
    home.journal.touch()

    def check(study: str | None) -> str:
        try:
            home.check_writable(study)
        except InputError as error:
            return "\n".join(error.problems)
        return ""

    refused = "it must be writable, but it belongs to root, and you are nobody"
    assert as_nobody(lambda: check("mine")) == f"{home.journal}: {refused}"
    os.chown(home.journal, 65534, 65534)
    assert as_nobody(lambda: check("mine")) == ""
    told = as_nobody(lambda: check(None)).splitlines()
    assert {line.rpartition(": ")[2] for line in told} == {refused}
    assert told[0].startswith(f"{home.study('hers').root}:")


def test_a_home_without_room_stops_the_study(tmp_path: Path, mounted: Callable[[Path, str], None]) -> None:
    mounted(tmp_path, "size=100k")
    with pytest.raises(StudyStoppedError, match="home: No space left on device"):
        Home.at(tmp_path / "home").check_writable()


def test_patches_may_be_kept_on_another_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RADSEARCH_CACHE", "scratch")
    assert Home.at("home").cache == tmp_path / "scratch"
    home = Home.at("home", "option")
    assert (home.root, home.cache) == (tmp_path / "home", tmp_path / "option")
    home.check_writable()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "option").touch()
    with pytest.raises(InputError, match=r"option: a folder must be there or be made, but .* is a file"):
        home.check_writable()
    monkeypatch.delenv("RADSEARCH_CACHE")
    assert Home.at("home").cache == tmp_path / "home" / "cache"


def test_a_full_disk_of_patches_stops_the_study(tmp_path: Path, mounted: Callable[[Path, str], None]) -> None:
    (tmp_path / "scratch").mkdir()
    mounted(tmp_path / "scratch", "size=100k")
    with pytest.raises(StudyStoppedError, match="scratch: No space left on device"):
        Home.at(tmp_path / "home", tmp_path / "scratch").check_writable()
