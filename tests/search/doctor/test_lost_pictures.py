from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from optuna.artifacts import get_all_artifact_meta
from PIL import Image

from search.doctor.lost_pictures import Pictures
from search.home import Home


def nowhere(key: int, name: str, folder: Path) -> Path:
    raise LookupError(f"{name} of {key} is not in {folder}")


@pytest.fixture
def home(finished: Any, tmp_path: Path) -> Home:
    """The finished study's pictures and patches in a home that may be broken."""
    home = Home.at(tmp_path / "home")
    shutil.copytree(finished.home.root, home.root)
    return home


@pytest.fixture
def make(finished: Any, home: Home) -> Callable[..., Pictures]:
    def make(fetch: Callable[[int, str, Path], Path] = nowhere, **changes: Any) -> Pictures:
        return Pictures(home, finished.outcome.study, finished.study.model_copy(update=changes), fetch)

    return make


def files(home: Home, finished: Any) -> dict[str, Path]:
    """The dashboard's pictures of trial 1 by name."""
    study = finished.outcome.study
    metas = get_all_artifact_meta(study.get_trials()[1], storage=study._storage)
    return {meta.filename: home.artifacts / meta.artifact_id for meta in metas}


def test_all_pictures_are_there(make: Callable[..., Pictures]) -> None:
    assert list(make().missing()) == []


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.write_bytes(b"")])
def test_the_dashboards_picture_comes_from_the_trials_folder(
    spoil: Callable[[Path], object], make: Callable[..., Pictures], home: Home, finished: Any
) -> None:
    path = files(home, finished)["roc.png"]
    before = path.read_bytes()
    spoil(path)
    ((trial, meta),) = make().missing()
    assert (trial.number, meta.filename) == (1, "roc.png")
    make().put_back(trial, meta)
    assert path.read_bytes() == before


def test_the_trials_picture_comes_from_the_dashboard(make: Callable[..., Pictures], home: Home) -> None:
    path = home.study("toy").trial(1) / "roc.png"
    before = path.read_bytes()
    path.unlink()
    assert make().bring(path) == path
    assert path.read_bytes() == before


def test_where_neither_has_it_mlflow_does(make: Callable[..., Pictures], home: Home, finished: Any) -> None:
    path = home.study("toy").trial(1) / "roc.png"
    files(home, finished)["roc.png"].unlink()
    path.unlink()

    def fetch(key: int, name: str, folder: Path) -> Path:
        (folder / name).write_bytes(f"{key} {name}".encode())
        return folder / name

    make(fetch).bring(path)
    assert path.read_bytes() == b"1 roc.png"


def test_what_nobody_has_is_drawn_again_as_it_was(
    make: Callable[..., Pictures], home: Home, finished: Any
) -> None:
    folder = home.study("toy").trial(1)
    before = {path.name: Image.open(path).tobytes() for path in folder.glob("*.png")}
    shutil.rmtree(folder)
    for path in files(home, finished).values():
        path.unlink()
    pictures = make()
    for trial, meta in list(pictures.missing()):
        pictures.put_back(trial, meta)
    assert {path.name: Image.open(path).tobytes() for path in folder.glob("*.png")} == before
    assert list(pictures.missing()) == []


@pytest.mark.parametrize("cohort", ["gone", "other"])
def test_nothing_is_drawn_from_a_cohort_that_is_gone_or_another(
    cohort: str,
    make: Callable[..., Pictures],
    home: Home,
    finished: Any,
    tmp_path: Path,
    make_cohort: Callable[..., Path],
) -> None:
    path = home.study("toy").trial(1) / "roc.png"
    files(home, finished)["roc.png"].unlink()
    path.unlink()
    if cohort == "other":
        make_cohort(tmp_path / cohort, seed=7)
        home.study("toy").folds.unlink()
    with pytest.raises(LookupError, match="cannot be drawn again"):
        make(cohort=str(tmp_path / cohort)).bring(path)
    assert not path.exists()
