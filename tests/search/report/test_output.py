"""The report's folder: whole or not at all, and nobody's files are lost for it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from PIL import Image

from data_prep.problems import InputError
from search.report.blocks import Picture, Section, Table
from search.report.output import report_folder, write_report


def write(out: Path, text: str = "page", study: str = "s", identity: str = "1") -> None:
    with report_folder(out, study, identity) as folder:
        (folder / "tables").mkdir()
        (folder / "tables" / "a.tsv").write_text("a\n")
        (folder / "report.html").write_text(text)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("before", ["absent", "empty"])
def test_a_report_is_written_where_nothing_is(tmp_path: Path, before: str) -> None:
    out = tmp_path / "deep" / "out"
    if before == "empty":
        out.mkdir(parents=True)
    write(out)
    assert names(out) == ["report.html", "report.json", "tables"]
    assert names(out.parent) == ["out"]


def test_an_earlier_report_of_the_study_is_replaced_whole(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write(out, "old")
    (out / "tables" / "a.tsv").unlink()
    write(out, "new")
    assert (out / "report.html").read_text() == "new"
    assert (out / "tables" / "a.tsv").exists()
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize(("study", "identity"), [("other", "1"), ("s", "2")])
def test_another_studys_report_is_not(tmp_path: Path, study: str, identity: str) -> None:
    out = tmp_path / "out"
    write(out)
    with pytest.raises(InputError, match="holds other files"):
        write(out, "new", study, identity)
    assert (out / "report.html").read_text() == "page"


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="an empty folder, or an earlier report"):
        write(tmp_path)
    assert names(tmp_path) == ["mine.txt"]


def test_what_somebody_put_into_an_earlier_report_is_not_lost(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write(out)
    (out / "tables" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match=r"tables/mine.txt, which no report wrote"):
        write(out, "new")
    assert (out / "tables" / "mine.txt").read_text() == "mine"


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(InputError, match="a folder is needed"):
        write(tmp_path / "out")


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_what_is_interrupted_leaves_nothing_and_changes_nothing(
    tmp_path: Path, error: type[BaseException]
) -> None:
    def interrupted(out: Path) -> None:
        with report_folder(out, "s", "1") as folder:
            (folder / "report.html").write_text("half")
            raise error

    with pytest.raises(error):
        interrupted(tmp_path / "new")
    write(tmp_path / "old")
    with pytest.raises(error):
        interrupted(tmp_path / "old")
    assert names(tmp_path) == ["old"]
    assert (tmp_path / "old" / "report.html").read_text() == "page"


KILLED = """
import os, signal, sys
from pathlib import Path
from search.report.output import report_folder

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

out, point = Path(sys.argv[1]), sys.argv[2]
with report_folder(out, "s", "1") as folder:
    (folder / "report.html").write_text("half")
    if point == "writing":
        die()
    rename = Path.rename
    def rename_and_die(self, target):
        if self == folder and point == "between":
            die()
        rename(self, target)
        if self == folder:
            die()
    Path.rename = rename_and_die
"""


def killed(out: Path, point: str) -> None:
    """A process that dies while it writes, between the two renames, or after them."""
    done = subprocess.run([sys.executable, "-c", KILLED, str(out), point], check=False)
    assert done.returncode == -signal.SIGKILL


@pytest.mark.parametrize("point", ["writing", "between", "after"])
@pytest.mark.parametrize("name", ["out", "ö" * 120])
def test_what_a_killed_process_left_is_mended_by_the_next(tmp_path: Path, point: str, name: str) -> None:
    out = tmp_path / name
    write(out, "old")
    killed(out, point)
    assert out.exists() == (point != "between")
    assert len(names(tmp_path)) == 2 - (point == "between")

    with report_folder(out, "s", "1") as folder:
        assert (out / "report.html").read_text() == ("half" if point == "after" else "old")
        assert len(names(tmp_path)) == 2
        (folder / "report.html").write_text("new")
    assert (out / "report.html").read_text() == "new"
    assert names(tmp_path) == [name]


def test_what_a_living_process_writes_is_left_to_it(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with report_folder(out, "s", "1") as folder:
        (folder / "report.html").write_text("first")
        write(out, "second")
        assert (out / "report.html").read_text() == "second"
    assert (out / "report.html").read_text() == "first"
    assert names(tmp_path) == ["out"]


def test_folders_of_other_places_are_left_alone(tmp_path: Path) -> None:
    one, other = tmp_path / ("o" * 200 + "1"), tmp_path / ("o" * 200 + "2")
    write(one)
    killed(one, "between")
    killed(tmp_path / "out.new-x", "writing")
    mine = [".out.new-mine", ".out.new-" + "0" * 31]
    for name in mine:
        (tmp_path / name).mkdir()
    left = names(tmp_path)
    write(other)
    write(tmp_path / "out")
    assert names(tmp_path) == sorted([*left, other.name, "out"])


def test_a_report_that_cannot_be_put_in_its_place_leaves_the_earlier_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, rename = tmp_path / "out", Path.rename
    write(out, "old")

    def refused(self: Path, target: Path) -> Path:
        if self.name == "report":
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refused)
    with pytest.raises(KeyboardInterrupt):
        write(out, "new")
    assert (out / "report.html").read_text() == "old"
    assert names(tmp_path) == ["out"]


def test_a_link_to_a_folder_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "report.html").exists()


def test_figures_and_tables_lie_beside_the_page(tmp_path: Path) -> None:
    section = Section.of(
        "s",
        "S",
        Picture("roc", Figure(), "lines, and a key figure"),
        Picture("flow", Figure(), "lines"),
        Picture("grid", Image.new("L", (4, 4)), "pixels"),
        Table("t", "", ("a",), (("x",),)),
    )
    with report_folder(tmp_path / "out", "s", "1") as folder:
        kept = write_report("page", [section], folder)
        assert sorted(kept) == ["grid", "page", "roc", "tables/t"]
    out = tmp_path / "out"
    assert names(out / "figures") == ["flow.svg", "grid.png", "roc.png", "roc.svg"]
    assert (out / "tables" / "t.tsv").read_text() == "a\nx\n"
    listed = json.loads((out / "report.json").read_text())["files"]
    assert set(listed) == {
        "report.html",
        "tables/t.tsv",
        *(f"figures/{name}" for name in names(out / "figures")),
    }
