from __future__ import annotations

import os
from pathlib import Path

import pytest

from data_prep.files import whole_file
from search.doctor.leftovers import SAFE_SECONDS, leftovers, remove
from search.home import Home

HEX = "0123456789abcdef" * 2


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home.at(tmp_path)
    for folder in (home.cache, home.tracking_artifacts, home.study("toy").root):
        folder.mkdir(parents=True)
    return home


def aged(path: Path, seconds: float = 2 * SAFE_SECONDS) -> Path:
    """The file, last changed a while before 10**9 s."""
    path.write_text("half")
    os.utime(path, (10**9 - seconds,) * 2)
    return path


def test_an_old_draft_of_any_file_is_found(home: Home) -> None:
    with whole_file(home.study("toy").definition) as draft:
        draft.write_text("{")
        os.utime(draft, (0, 0))
        assert list(leftovers(home)) == [draft]
    assert list(leftovers(home)) == []


def test_a_folder_of_the_cache_is_as_old_as_what_is_in_it(home: Home) -> None:
    new, old = home.cache / f".new-{HEX}", home.cache / f".old-{HEX}"
    for folder in (new, old):
        folder.mkdir()
        aged(folder / "images.npy", 10 if folder == new else 2 * SAFE_SECONDS)
        os.utime(folder, (0, 0))
    assert list(leftovers(home, 10**9)) == [old]


def test_what_is_young_or_whole_or_mlflows_own_stays(home: Home) -> None:
    aged(home.root / f".study.{HEX}.json", 10)
    aged(home.root / ".hidden")
    aged(home.root / f"study.{HEX}.json")
    aged(home.tracking_artifacts / f".table.{HEX}.tsv")
    assert list(leftovers(home, 10**9)) == []


def test_files_and_folders_are_removed_and_what_is_gone_is_no_error(home: Home) -> None:
    file, folder = aged(home.root / f".study.{HEX}.json"), home.cache / f".new-{HEX}"
    folder.mkdir()
    aged(folder / "images.npy")
    for path in (file, folder, file):
        remove(path)
    assert (file.exists(), folder.exists()) == (False, False)
