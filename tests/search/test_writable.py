from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from search import writable
from search.errors import StudyStoppedError
from search.writable import check_space, file_problem, folder_problem


def test_a_folder_that_is_there_or_can_be_made_is_no_problem_and_stays_as_it_is(tmp_path: Path) -> None:
    assert folder_problem(tmp_path) is None
    assert folder_problem(tmp_path / "a b" / "ü\n" / "c") is None
    assert list(tmp_path.iterdir()) == []


def test_what_is_in_the_way_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to(tmp_path / "gone")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for place in (tmp_path / "file", tmp_path / "file" / "home"):
        assert (folder_problem(place) or "").endswith(f"but {tmp_path / 'file'} is a file")
    for place in (tmp_path / "dangling", tmp_path / "dangling" / "home"):
        assert f"a link to {tmp_path / 'gone'}, which is not there" in (folder_problem(place) or "")
    assert "Too many levels of symbolic links" in (folder_problem(tmp_path / "loop" / "home") or "")
    assert "File name too long" in (folder_problem(tmp_path / ("x" * 300)) or "")


def test_a_link_to_a_folder_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there")
    assert folder_problem(tmp_path / "link" / "home") is None


def test_a_file_is_missing_or_can_be_changed_or_is_something_else(tmp_path: Path) -> None:
    assert file_problem(tmp_path / "journal") is None
    (tmp_path / "journal").write_text("x")
    assert file_problem(tmp_path / "journal") is None
    assert (tmp_path / "journal").read_text() == "x"
    assert "but something else is" in (file_problem(tmp_path) or "")
    (tmp_path / "dangling").symlink_to(tmp_path / "gone")
    assert "but something else is" in (file_problem(tmp_path / "dangling") or "")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
def test_another_users_folder_and_file_are_told_with_both_names(
    open_folder: Path, as_nobody: Callable[[Callable[[], str]], str]
) -> None:
    law = "must be writable, but it belongs to root, and you are nobody"
    (open_folder / "journal").write_text("x")
    (open_folder / "closed").mkdir(mode=0o700)
    (open_folder / "closed" / "home").mkdir()
    assert as_nobody(lambda: str(folder_problem(open_folder))) == f"it {law}"
    assert as_nobody(lambda: str(folder_problem(open_folder / "home"))) == f"{open_folder} {law}"
    closed = open_folder / "closed"
    assert as_nobody(lambda: str(folder_problem(closed / "home" / "x"))) == f"{closed} {law}"
    assert as_nobody(lambda: str(file_problem(open_folder / "journal"))) == f"it {law}"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
def test_ones_own_folder_without_permission_and_a_nameless_users_are_told(
    open_folder: Path, as_nobody: Callable[[Callable[[], str]], str]
) -> None:
    for name, owner in (("mine", 65534), ("strange", 54321)):
        (open_folder / name).mkdir()
        (open_folder / name).chmod(0o555)
        os.chown(open_folder / name, owner, owner)
    assert as_nobody(lambda: str(folder_problem(open_folder / "mine"))) == (
        "it must be writable, but its permissions forbid it to nobody, its owner"
    )
    assert "it belongs to user 54321" in as_nobody(lambda: str(folder_problem(open_folder / "strange")))


def test_a_read_only_file_system_is_told(tmp_path: Path, mounted: Callable[[Path, str], None]) -> None:
    mounted(tmp_path, "size=1m")
    (tmp_path / "journal").touch()
    mounted(tmp_path, "remount,ro")
    law = "must be writable, but the file system is read-only"
    assert folder_problem(tmp_path / "home") == f"{tmp_path} {law}"
    assert file_problem(tmp_path / "journal") == f"it {law}"
    check_space(tmp_path)


def test_a_disk_without_room_is_told_and_left_as_it_is(
    tmp_path: Path, mounted: Callable[[Path, str], None]
) -> None:
    mounted(tmp_path, "size=2m")
    check_space(tmp_path / "home")
    (tmp_path / "ballast").write_bytes(bytes(2**20 + 8192))
    assert folder_problem(tmp_path / "home") is None
    with pytest.raises(StudyStoppedError, match="No space left on device: 1 MiB are needed to start"):
        check_space(tmp_path / "home")
    assert [path.name for path in tmp_path.iterdir()] == ["ballast"]


def test_a_quota_counts_as_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: int) -> None:
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    monkeypatch.setattr(writable.os, "fsync", refuse)
    with pytest.raises(StudyStoppedError, match="quota exceeded"):
        check_space(tmp_path)
