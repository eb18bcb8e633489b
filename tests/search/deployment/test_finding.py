from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient

from data_prep.problems import InputError
from mlflow_server.launch import free_port
from search.deployment.finding import find_model
from search.deployment.model import Model
from search.deployment.registering import register
from search.errors import StudyStoppedError
from search.home import Home
from search.mlflow_store.models import MlflowModels, Version
from tests.search.deployment.conftest import Refitted
from tests.search.deployment.own_mlflow import home_with_mlflow


@pytest.fixture
def home(model_folder: Path, tmp_path: Path) -> Home:
    """A home with two versions of a model, which differ in nothing but their place."""
    home = Home.at(tmp_path / "home")
    for version in (9, 10):
        shutil.copytree(model_folder, home.models / "shallow" / str(version))
    return home


def test_a_model_is_found_by_its_folder_its_name_and_its_number(home: Home, model_folder: Path) -> None:
    latest = home.models / "shallow" / "10"
    for text, folder in {
        str(model_folder): model_folder,
        "shallow": latest,
        "shallow/10": latest,
        "shallow/9": home.models / "shallow" / "9",
    }.items():
        assert find_model(text, home, None).folder == folder


def test_a_folder_of_that_name_counts_where_it_is_a_model(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shallow").mkdir()
    assert find_model("shallow", home, None).folder == home.models / "shallow" / "10"
    (tmp_path / "no-model").mkdir()
    with pytest.raises(
        InputError, match=r"no-model: a model folder has a plain model.json, but there is none"
    ):
        find_model("no-model", home, None)
    (tmp_path / "shallow").rmdir()
    shutil.copytree(home.models / "shallow" / "9", tmp_path / "shallow")
    assert find_model("shallow", home, None).folder == Path("shallow")


@pytest.mark.parametrize("text", ["shalow", "nowhere/model", "no\nmodel", ""])
def test_what_is_no_model_is_refused_with_the_nearest_name(text: str, home: Home) -> None:
    with pytest.raises(InputError) as caught:
        find_model(text, home, None)
    (line,) = caught.value.problems
    assert line.startswith("MODEL: a model folder, the name of a model in the home, or models:/NAME@ALIAS is")
    assert line.endswith("Known: shallow")


@pytest.mark.parametrize("text", ["shallow/8", "shallow/x", "shallow/../shallow"])
def test_of_a_model_that_is_there_the_versions_are_told(text: str, home: Home) -> None:
    with pytest.raises(InputError, match=r"^MODEL: .* but got '.*'; versions of 'shallow': 9, 10$"):
        find_model(text, home, None)


@pytest.mark.parametrize("text", ["x" * 300, "x/" * 3000])
def test_what_can_be_no_path_is_no_model(text: str, home: Home) -> None:
    with pytest.raises(InputError, match=r"^MODEL: a model folder, .* but got 'File name too long' for 'x"):
        find_model(text, home, None)


@pytest.fixture(scope="module")
def uri(refitted: Refitted, model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An MLflow where the model is registered, beside one of others."""
    home = home_with_mlflow(refitted.home, tmp_path_factory.mktemp("registered") / "home")
    register(Model.open(model_folder), home, "shallow", None, None)
    MlflowClient(home.tracking_uri, registry_uri=home.tracking_uri).create_registered_model("theirs")
    return home.tracking_uri


def test_a_registered_model_is_fetched_once_and_opened_as_a_folder(
    uri: str, home: Home, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = find_model("models:/shallow@champion", home, uri)
    assert found.folder.parent == home.cache / "models"
    assert found.facts == Model.open(model_folder).facts
    with monkeypatch.context() as patched:
        patched.setattr(MlflowModels, "fetch", None)
        assert find_model("models:/shallow/1", home, uri).folder == found.folder
    weights = next((found.folder / "members").rglob("input.npz"))
    weights.write_bytes(b"damaged")
    assert find_model("models:/shallow/1", home, uri).folder == found.folder
    assert [path.name for path in (home.cache / "models").iterdir()] == [found.folder.name]


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ("members/*/member.json", r"^models:/shallow/1/members/.*/member.json: .*sha256.* model.json says"),
        ("model.json", "^models:/shallow/1: its model.json must have sha256"),
    ],
)
def test_a_registered_model_that_was_changed_is_refused(
    changed: str, says: str, uri: str, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch = MlflowModels.fetch

    def other(shelf: MlflowModels, version: Version, folder: Path) -> Path:
        fetched = fetch(shelf, version, folder)
        path = next(fetched.glob(changed))
        path.write_text(path.read_text() + " ")
        return fetched

    monkeypatch.setattr(MlflowModels, "fetch", other)
    with pytest.raises(InputError, match=says):
        find_model("models:/shallow@champion", home, uri)
    assert list((home.cache / "models").iterdir()) == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("models:/shallow@chmpion", "did you mean 'models:/shallow@champion'"),
        ("models:/shallow/7", "did you mean 'models:/shallow/1'"),
        ("models:/theirs@champion", "Known: models:/shallow/1, models:/shallow@champion"),
        ("models:/shallow", "models:/NAME@ALIAS or models:/NAME/NUMBER is needed"),
        ("models:/a/../b", "models:/NAME@ALIAS or models:/NAME/NUMBER is needed"),
    ],
)
def test_an_address_that_names_no_model_is_refused(text: str, says: str, uri: str, home: Home) -> None:
    with pytest.raises(InputError, match=f"^MODEL: .*{says}"):
        find_model(text, home, uri)


@pytest.mark.parametrize("tag", ["../../studies", "{outside}", "", "AB" * 32, "ab" * 32 + "\n", "ab" * 33])
def test_a_tag_of_mlflow_leads_nowhere_but_into_the_cache(
    tag: str, uri: str, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home.root / "studies").mkdir()
    (tmp_path / "outside").mkdir()
    (home.cache / "models").mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    find = MlflowModels.find

    def tagged(shelf: MlflowModels, name: str, wanted: str) -> Version | None:
        found = find(shelf, name, wanted)
        return found and replace(found, digest=tag.format(outside=tmp_path / "outside"))

    monkeypatch.setattr(MlflowModels, "find", tagged)
    with pytest.raises(InputError, match=r"^MODEL: a model of `radsearch refit` is needed, but 'models:/sh"):
        find_model("models:/shallow@champion", home, uri)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_model_that_another_process_fetched_meanwhile_is_opened(
    uri: str, home: Home, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch = MlflowModels.fetch

    def slow(shelf: MlflowModels, version: Version, folder: Path) -> Path:
        shutil.copytree(model_folder, home.cache / "models" / str(version.digest))
        return fetch(shelf, version, folder)

    monkeypatch.setattr(MlflowModels, "fetch", slow)
    found = find_model("models:/shallow@champion", home, uri)
    assert found.facts == Model.open(model_folder).facts
    assert [path.name for path in (home.cache / "models").iterdir()] == [found.folder.name]


def test_looking_for_a_model_makes_no_database(home: Home) -> None:
    with pytest.raises(InputError, match=r"mlflow.db: there is no such file. Is --home right"):
        find_model("models:/shallow@champion", home, None)
    assert not (home.root / "mlflow.db").exists()


def test_without_mlflow_a_line_says_so(home: Home) -> None:
    uri = f"http://jo:secret@127.0.0.1:{free_port()}"
    with pytest.raises(StudyStoppedError, match=r"^MLflow at http://jo:\*\*\*@127.*cannot be reached"):
        find_model("models:/shallow@champion", home, uri)
    with pytest.raises(InputError, match="tracking URI: the scheme"):
        find_model("models:/shallow@champion", home, "file:///tmp")
