from __future__ import annotations

from pathlib import Path

import pytest

from search.cli import main
from search.commands.phantom import further_ceilings

SMALL = ["--participants", "2", "--biopsies", "4", "--size", "24", "--missing", "0"]


def said(capsys: pytest.CaptureFixture[str], out: Path, *options: str) -> str:
    assert main(["phantom", str(out), *SMALL, *options]) == 0
    return capsys.readouterr().out


def test_a_plain_phantom_says_its_ceiling(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, tmp_path / "out")
    assert "4 biopsies of 2 participants" in text
    assert "(Bayes): 0.753; see" in text
    assert len(text.splitlines()) == 2


def test_options_say_the_ceilings_that_matter(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = said(
        capsys,
        tmp_path / "out",
        *("--voxel", "1x1x4", "--orientation", "mixed", "--oblique", "12", "--site-error", "1"),
        *("--registration-error", "1", "--confounding", "0.5", "--repeats", "1", "--missing-by", "scanner"),
        *("--scanner-shift", "2"),
    )
    assert "of it within scanners: 0." in text
    assert "; of the scanner alone: 0." in text
    assert "where the errors of registration are undone: 0." in text
    assert "lacks FA, MD" in text
    assert "test-retest ICC of the ideal score: 0." in text


def test_what_has_no_exact_ceiling_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--kind", "texture", "--confounding", "1", "--grids", "mixed"]
    assert main(["phantom", str(tmp_path / "out"), *options]) == 1
    errors = capsys.readouterr().err.strip().splitlines()
    assert [line.split(":")[1].strip() for line in errors] == ["confounding", "grids"]
    assert not (tmp_path / "out").exists()


def test_a_voxel_that_cannot_be_read_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["phantom", str(tmp_path / "out"), "--voxel", "5mm"]) == 1
    assert "must be like 0.5x0.5x5, but got '5mm'" in capsys.readouterr().err


def test_nothing_more_is_said_of_a_plain_phantom() -> None:
    assert not list(further_ceilings({"spec": {"missing_by": "participant"}, "scanners": {}}))
