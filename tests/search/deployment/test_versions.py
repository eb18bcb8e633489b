"""NAME/1, NAME/2 and so on."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_prep.problems import InputError
from search.deployment.versions import (
    check_name,
    latest_folder,
    names_of_models,
    version_folder,
    versions_of,
)
from search.home import Home


def test_versions_are_numbers_that_are_folders(tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    for name in ("1", "2", "10", "03", "0", ".11.abc.partial", "x"):
        (home.models / "glioma" / name).mkdir(parents=True)
    (home.models / "glioma" / "12").write_text("a file")
    (home.models / "empty").mkdir()
    assert versions_of(home, "glioma") == (1, 2, 10)
    assert (
        latest_folder(home, "glioma") == version_folder(home, "glioma", 10) == tmp_path / "models/glioma/10"
    )
    assert names_of_models(home) == ("glioma",)


def test_a_name_that_no_model_has_has_no_version(tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    assert names_of_models(home) == ()
    for name in ("glioma", "..", "a/b", ""):
        assert versions_of(home, name) == ()
        assert latest_folder(home, name) is None


@pytest.mark.parametrize("name", ["", "..", ".hidden", "a/b", "a b", "x" * 101, "naïve", "a\n"])
def test_a_name_must_name_a_folder_too(name: str) -> None:
    with pytest.raises(InputError, match="--name: 100 letters"):
        check_name(name)
    check_name("glioma_1.2-b")
