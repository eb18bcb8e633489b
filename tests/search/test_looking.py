"""Homes that cannot be written, and what is looked at without writing: through the command line."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest

from search.cli import main
from search.home import Home
from search.storage import open_storage

LOOKS = [["list"], ["list", "--json"], ["show", "shallow"], ["show", "shallow", "--json"]]


def radsearch(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "search.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file with its size and the time of its last change."""
    return {
        str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
    }


def called(*arguments: object) -> str:
    """Runs a command in this process: exit code, stdout and stderr in one text."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(argument) for argument in arguments])
    return json.dumps([code, out.getvalue(), err.getvalue()])


def test_a_read_only_home_is_looked_at_as_any_other(
    shallow: Path, tmp_path: Path, mounted: Callable[[Path, str], None]
) -> None:
    mounted(tmp_path, "size=30m")
    home = tmp_path / "home"
    shutil.copytree(shallow / "home", home)
    (home / "optuna.journal.lock").unlink()
    shutil.rmtree(home / "studies" / "shallow" / "spool")
    before = {tuple(look): called(*look, "--home", home) for look in LOOKS}
    assert {json.loads(text)[0] for text in before.values()} == {0}
    assert not (home / "optuna.journal.lock").exists()
    assert not (home / "studies" / "shallow" / "spool").exists()
    mounted(tmp_path, "remount,ro")
    assert {tuple(look): called(*look, "--home", home) for look in LOOKS} == before


def test_a_home_is_as_it_was_after_it_was_looked_at(shallow: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(shallow / "home", home)
    with (home / "optuna.journal").open("ab") as journal:
        journal.write(b'{"op_code":5,"tor')
    before = listing(home)
    for look in LOOKS:
        assert json.loads(called(*look, "--home", home))[0] == 0
    assert listing(home) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
def test_another_users_home_is_looked_at_as_ones_own(
    shallow: Path, open_folder: Path, as_nobody: Callable[[Callable[[], str]], str]
) -> None:
    home = open_folder / "home"
    shutil.copytree(shallow / "home", home)
    for look in LOOKS:
        mine = called(*look, "--home", home)
        assert json.loads(mine)[0] == 0
        assert as_nobody(lambda look=look: called(*look, "--home", home)) == mine  # type: ignore[misc]


def test_a_run_in_a_read_only_home_is_refused_in_one_line_before_the_cohort_is_read(
    shallow: Path, tmp_path: Path, mounted: Callable[[Path, str], None]
) -> None:
    mounted(tmp_path, "size=1m,ro")
    ended = radsearch("run", shallow / "study.toml", "--home", tmp_path / "home")
    law = f"{tmp_path} must be writable, but the file system is read-only"
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", f"{tmp_path / 'home'}: {law}\n")


@pytest.mark.parametrize("kind", ["file", "link", "journal"])
def test_a_home_that_is_none_is_one_line(kind: str, shallow: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    if kind == "file":
        home.write_text("")
    elif kind == "link":
        home.symlink_to(tmp_path / "gone")
    else:
        (home / "optuna.journal").mkdir(parents=True)
    before = listing(tmp_path) if kind != "link" else None
    ended = radsearch("run", shallow / "study.toml", "--home", home)
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith((f"{home}", f"--home: a folder is needed, but {home} is none"))
    assert before is None or listing(tmp_path) == before


def test_a_study_runs_in_a_home_of_any_name(shallow: Path, tmp_path: Path) -> None:
    home = tmp_path / "it's 50% ü\n#"
    ended = radsearch("run", shallow / "study.toml", "--home", home, "--trials", 1)
    assert ended.returncode == 0, ended.stderr
    assert list(tmp_path.iterdir()) == [home]
    shown = json.loads(json.loads(called("show", "shallow", "--json", "--home", home))[1])
    assert shown["home"] == str(home)
    assert shown["trials"][0]["ending"] == "complete"
    with sqlite3.connect(home / "mlflow.db") as database:
        assert (shown["trials"][0]["mlflow_run_id"],) in database.execute(
            "select run_uuid from runs"
        ).fetchall()
    database.close()


@pytest.mark.parametrize("look", [["list"], ["list", "--json"], ["show", "s"]])
def test_looking_into_a_database_that_is_none_makes_none(look: list[str], tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"
    code, _, err = json.loads(called(*look, "--storage", url, "--home", tmp_path / "home"))
    assert code == (1 if look[0] == "show" else 0)
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def spoil(home: Home, **attributes: Any) -> None:
    study = optuna.create_study(study_name="spoilt", storage=open_storage(None, home))
    for name, value in {"identity": {}, **attributes}.items():
        study.set_user_attr(name, value)


@pytest.mark.parametrize(
    "attributes",
    [{}, {"metric": "roc_auc"}, {"metric": 3}, {"metric": "roc_auc", "cohort": "x", "folds": {}}],
)
def test_a_study_whose_record_is_spoilt_is_one_line_and_hides_no_other(
    attributes: dict[str, Any], shallow: Path, tmp_path: Path
) -> None:
    shutil.copytree(shallow / "home", tmp_path / "home")
    spoil(Home.at(tmp_path / "home"), **attributes)
    for look in (["list"], ["show", "spoilt"]):
        code, out, err = json.loads(called(*look, "--home", tmp_path / "home"))
        assert code == 1
        assert err.startswith("study 'spoilt': its record in the storage must be one of this version's")
        assert err.count("\n") == 1
    code, out, err = json.loads(called("list", "--json", "--home", tmp_path / "home"))
    assert [study["study"] for study in json.loads(out)["studies"]] == ["shallow"]
    assert json.loads(called("show", "shallow", "--home", tmp_path / "home"))[0] == 0


def test_a_journal_beyond_mending_is_one_line(shallow: Path, tmp_path: Path) -> None:
    shutil.copytree(shallow / "home", tmp_path / "home")
    journal = tmp_path / "home" / "optuna.journal"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines[:5], b"\0\0\0\n", *lines[6:]]))
    before = journal.read_bytes()
    for command in (["list"], ["show", "shallow"], ["run", str(shallow / "study.toml")]):
        code, out, err = json.loads(called(*command, "--home", tmp_path / "home"))
        assert (code, out) == (3, "")
        assert err.splitlines()[-1].startswith(f"{journal}: line 6 must be a record of Optuna's journal")
        assert "Traceback" not in err
    assert journal.read_bytes() == before
