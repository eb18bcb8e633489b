from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from data_prep import files
from data_prep.files import make_folders, naming, sync_folder, whole_file, whole_lines, write_at_end

SetLimit = Callable[[int | None], None]


def test_the_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "new" / "table.tsv"
    with whole_file(path) as temporary:
        temporary.write_text("half")
        assert not path.exists()
        assert (temporary.parent, temporary.suffix) == (path.parent, ".tsv")
        temporary.write_text("whole")
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_an_error_leaves_the_earlier_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "table.tsv"
    path.write_text("before")

    def fail() -> None:
        with whole_file(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError, match="the disk is full"):
        fail()
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("size", [0, 1, 4096, 9999])
def test_a_disk_that_refuses_leaves_the_earlier_file_and_is_named(
    tmp_path: Path, files_end_at: SetLimit, size: int
) -> None:
    path = tmp_path / "table.tsv"
    path.write_text("before")
    files_end_at(size)
    with pytest.raises(OSError, match="File too large") as caught, whole_file(path) as new:
        new.write_bytes(bytes(10_000))
    assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, str(path))
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_the_content_is_on_the_disk_before_the_name_and_the_name_before_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order that a power cut cannot get behind: write, synchronise, rename, synchronise the folder."""
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def note_sync(descriptor: int) -> None:
        place = Path(f"/proc/self/fd/{descriptor}").readlink()
        steps.append("folder" if place == tmp_path else place.read_text())
        fsync(descriptor)

    def note_replace(self: Path, target: Path) -> Path:
        steps.append("rename")
        return replace(self, target)

    monkeypatch.setattr(files.os, "fsync", note_sync)
    monkeypatch.setattr(Path, "replace", note_replace)
    with whole_file(tmp_path / "a.txt") as new:
        new.write_text("whole")
    assert steps == ["whole", "rename", "folder"]


def test_what_cannot_be_synchronised_does_not_take_the_earlier_files_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("before")

    def refuse(descriptor: int) -> None:
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    monkeypatch.setattr(files.os, "fsync", refuse)
    with pytest.raises(OSError, match=r"quota exceeded.*a\.txt"), whole_file(path) as new:
        new.write_text("after")
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_name_as_long_as_names_can_be_works(tmp_path: Path) -> None:
    path = tmp_path / ("é" * 125 + ".tsv")
    with whole_file(path) as new:
        new.write_text("whole")
    assert list(tmp_path.iterdir()) == [path]


def test_every_folder_that_is_made_is_made_durably(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(files, "sync_file", synced.append)
    make_folders(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    assert set(synced) == {tmp_path, tmp_path / "a"}
    synced.clear()
    make_folders(tmp_path / "a" / "b")
    assert synced == []


@pytest.mark.parametrize(
    ("number", "matters"), [(errno.EINVAL, False), (errno.EACCES, False), (errno.EIO, True)]
)
def test_a_file_system_that_synchronises_no_folders_is_none_the_worse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, matters: bool
) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(files.os, "fsync", refuse)
    if matters:
        with pytest.raises(OSError, match="Input/output error"):
            sync_folder(tmp_path)
    else:
        sync_folder(tmp_path)


def test_an_error_that_names_another_file_keeps_its_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught, naming(tmp_path / "a"):
        (tmp_path / "b").read_text()
    assert caught.value.filename == str(tmp_path / "b")
    with pytest.raises(OSError, match=r"^told without a number$"), naming(tmp_path / "a"):
        raise OSError("told without a number")


def test_what_is_appended_is_there_whole_or_not_at_all(tmp_path: Path, files_end_at: SetLimit) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"one\n")
    descriptor = os.open(path, os.O_RDWR)
    files_end_at(4000)
    with pytest.raises(OSError, match="File too large"):
        write_at_end(descriptor, bytes(8000), 4)
    assert path.read_bytes() == b"one\n"
    write_at_end(descriptor, b"two\n", 4)
    assert path.read_bytes() == b"one\ntwo\n"
    os.close(descriptor)


def test_where_a_refused_append_cannot_be_taken_back_the_next_one_sees_to_it(
    tmp_path: Path, files_end_at: SetLimit, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"one\n")
    descriptor = os.open(path, os.O_RDWR)

    def refuse(descriptor: int, length: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "ftruncate", refuse)
        files_end_at(4000)
        with pytest.raises(OSError, match="File too large"):
            write_at_end(descriptor, b"x" * 8000, 4)
        assert path.stat().st_size == 4000
        with pytest.raises(OSError, match="No space left"):
            write_at_end(descriptor, b"two\n", 4)
    write_at_end(descriptor, b"two\n", 4)
    assert path.read_bytes() == b"one\ntwo\n"
    os.close(descriptor)


def test_arrays_are_written_whole_too(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with whole_file(path) as new:
        np.savez(new, a=np.arange(3))
    assert np.load(path)["a"].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("content", "whole"), [(b"", b""), (b"on", b""), (b"one\n", b"one\n"), (b"one\r\ntw", b"one\r\n")]
)
def test_half_a_line_at_the_end_is_none(tmp_path: Path, content: bytes, whole: bytes) -> None:
    (tmp_path / "log").write_bytes(content)
    assert whole_lines(tmp_path / "log") == whole
