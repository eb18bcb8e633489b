from __future__ import annotations

import errno
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from search.sqlite_files import file_made_once, one_at_a_time, untouched
from tests.search.doctor.doctoring import fingerprint

# A writer that is killed in the middle of a commit: what it changed is in the file, the rest in the journal.
KILLED = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_spill = 1")
connection.execute("PRAGMA cache_size = 5")
connection.execute("BEGIN")
connection.execute("UPDATE t SET value = 'new' || hex(randomblob(500))")
os.kill(os.getpid(), 9)
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "home" / "mlflow.db"
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE t (value TEXT)")
        connection.executemany("INSERT INTO t VALUES (?)", [("old" * 300,)] * 500)
    return path


def values(uri: str) -> set[str]:
    with closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as connection:
        return {row[0][:3] for row in connection.execute("SELECT value FROM t")}


def test_a_copy_is_read_and_may_be_written(file: Path) -> None:
    before = fingerprint(file.parent)
    with untouched(f"sqlite:///{file}") as uri:
        assert uri is not None
        assert values(uri) == {"old"}
        with closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as connection, connection:
            connection.execute("DELETE FROM t")
    assert fingerprint(file.parent) == before


def test_what_a_killed_writer_left_half_done_is_read_as_undone_and_stays(file: Path) -> None:
    assert subprocess.run([sys.executable, "-c", KILLED, str(file)], check=False).returncode == -9
    assert file.with_name("mlflow.db-journal").stat().st_size > 0
    before = fingerprint(file.parent)
    with untouched(f"sqlite:///{file}") as uri:
        assert uri is not None
        assert values(uri) == {"old"}
    assert fingerprint(file.parent) == before


def test_no_file_is_made(tmp_path: Path) -> None:
    with untouched(f"sqlite:///{tmp_path}/mlflow.db") as uri:
        assert uri is None
    assert list(tmp_path.iterdir()) == []


def test_a_server_is_read_where_it_is() -> None:
    with untouched("http://mlflow.lab:5000") as uri:
        assert uri == "http://mlflow.lab:5000"


# Two processes that use a database for the first time at the same moment.
FIRST = """
import sys
from pathlib import Path
from search.tracking import Tracker
home, number = Path(sys.argv[1]), sys.argv[2]
sys.stdin.readline()
tracker = Tracker(f"sqlite:///{home}/mlflow.db", home / "artifacts", home / f"spool{number}", f"s{number}")
tracker.start_run("study", "s", {}, {})
print(tracker.close(120))
"""


def test_two_that_open_it_first_at_once_do_not_spoil_it(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    command = [sys.executable, "-P", "-c", FIRST, str(tmp_path / "home")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    both = [subprocess.Popen([*command, number], **pipes) for number in "12"]  # type: ignore[call-overload]
    for process in both:
        process.stdin.write("\n")
        process.stdin.flush()
    assert [process.communicate() for process in both] == [("0\n", "")] * 2


def test_a_server_needs_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with one_at_a_time("http://mlflow.lab:5000"):
        assert list(tmp_path.iterdir()) == []


def test_a_file_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "new" / "mlflow.db"
    with pytest.raises(UnicodeEncodeError), file_made_once(path) as draft:
        draft.write_text("half\udcff", encoding="utf-8")
    assert list(path.parent.iterdir()) == []
    with file_made_once(path) as draft:
        draft.write_text("whole")
        assert not path.exists()
    assert (path.read_text(), list(path.parent.iterdir())) == ("whole", [path])


def test_a_file_that_is_there_already_stays(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    with file_made_once(path) as draft:
        draft.write_text("ours")
        path.write_text("theirs")
    assert (path.read_text(), list(tmp_path.iterdir())) == ("theirs", [path])


@pytest.mark.parametrize("taken", [False, True])
def test_a_file_is_made_once_also_where_there_are_no_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: bool
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr("search.sqlite_files.os.link", refuse)
    path = tmp_path / "made.db"
    with file_made_once(path) as draft:
        draft.write_text("ours")
        if taken:
            path.write_text("theirs")
    assert path.read_text() == ("theirs" if taken else "ours")
    assert [file.name for file in tmp_path.iterdir()] == ["made.db"]
