"""Which folders a server's clients are let into."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_prep.problems import InputError
from search.artifact_folder import MARK, check_apart, check_unused, mark


@pytest.mark.parametrize("place", [".", "studies", "studies/cd3d", "studies/cd3d/new", "link/cd3d"])
def test_neither_may_lie_in_the_other(place: str, tmp_path: Path) -> None:
    (tmp_path / "studies" / "cd3d").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "studies")
    with pytest.raises(InputError, match=f"^--artifacts: .* but {tmp_path}.* is in {tmp_path}"):
        check_apart(tmp_path / place, [tmp_path / "studies"])
    check_apart(tmp_path / "studies-2", [tmp_path / "studies"])


@pytest.mark.parametrize("name", ["passwd", ".env", "pseudonyms.tsv", "1", "1a/"])
def test_a_folder_with_files_of_others_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "0").mkdir()
    if name.endswith("/"):
        (tmp_path / name).mkdir()
    else:
        (tmp_path / name).write_text("")
    with pytest.raises(InputError, match=f"but '{name.rstrip('/')}' is in {tmp_path}; name an empty folder"):
        check_unused(tmp_path)


def test_a_link_to_somewhere_else_is_no_folder_of_an_experiment(tmp_path: Path) -> None:
    (tmp_path / "7").symlink_to("/etc")
    with pytest.raises(InputError, match="but '7' is in"):
        check_unused(tmp_path)


def test_new_empty_and_former_folders_of_artifacts_pass(tmp_path: Path) -> None:
    check_unused(tmp_path / "not-there")
    check_unused(tmp_path)
    for name in ("0", "123456789012345678", "lost+found"):
        (tmp_path / name).mkdir()
    check_unused(tmp_path)


def test_a_mark_that_was_cut_off_is_nothing_strange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "replace", lambda *_: None)
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)
    mark(tmp_path)
    (left,) = tmp_path.iterdir()
    assert left.name != MARK
    check_unused(tmp_path)


def test_a_folder_that_was_served_passes_whatever_clients_have_put_there(tmp_path: Path) -> None:
    mark(tmp_path)
    mark(tmp_path)
    (tmp_path / "by-name").mkdir()
    check_unused(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {MARK, "by-name"}
