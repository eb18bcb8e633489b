from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from data_prep.problems import InputError
from search.check_parser import add_check
from search.commands import check
from tests.data_prep.check.heads import write_heads


def run(*args: str | Path) -> int:
    parser = argparse.ArgumentParser()
    add_check(parser.add_subparsers())
    return check.run(parser.parse_args(["check", *map(str, args)]))


def test_a_sound_cohort_ends_with_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(write_heads(tmp_path / "cohort")) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == "heads: nothing to complain of in 4 participants, 12 biopsies, 3 sequences"


def test_an_error_ends_with_1_and_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_heads(tmp_path / "cohort")
    (folder / "sub-1" / "T2.nii.gz").write_bytes(b"")
    assert run(folder) == 1
    out = capsys.readouterr().out
    assert "error file-empty" in out
    assert "sub-1/T2.nii.gz" in out


def test_warnings_alone_end_with_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_heads(tmp_path / "cohort")
    table = folder / "biopsies.tsv"
    table.write_text(table.read_text() + "b77\tsub-0\t-9\t-23\t-4\n")
    assert run(folder) == 0
    assert "1 warning" in capsys.readouterr().out


def test_json_is_one_document_and_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_heads(tmp_path / "cohort")
    (folder / "sub-1" / "T2.nii.gz").write_bytes(b"")
    assert run(folder, "--json", "--out", tmp_path / "gallery") == 1
    captured = capsys.readouterr()
    record = json.loads(captured.out)
    (finding,) = record["findings"]
    assert (finding["code"], finding["participant"], finding["biopsies"]) == (
        "file-empty",
        "sub-1",
        ["b03", "b04", "b05"],
    )
    assert record["counts"]["errors"] == 1
    assert captured.err == ""
    assert (tmp_path / "gallery" / "gallery.html").is_file()


def test_the_gallery_is_written_and_named_last(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(write_heads(tmp_path / "cohort"), "--out", tmp_path / "gallery") == 0
    page = Path(capsys.readouterr().out.splitlines()[-1])
    assert page.read_text().startswith("<!")


def test_a_place_that_cannot_be_written_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="--out: a folder must be there or be made"):
        run(tmp_path / "absent", "--out", tmp_path / "file")


def test_a_folder_without_a_cohort_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cohort\.toml"):
        run(tmp_path)
