from __future__ import annotations

from pathlib import Path

import pytest

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
