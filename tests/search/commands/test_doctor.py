from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlflow_server.launch import free_port
from search.cli import main

MISSING = "picture missing"


@pytest.fixture
def lost(finished: Any) -> Iterator[Path]:
    """One of the dashboard's pictures, removed; there again at the end."""
    path = next(path for path in sorted(finished.home.artifacts.iterdir()) if path.is_file())
    content = path.read_bytes()
    path.unlink()
    yield path
    path.write_bytes(content)


def doctor(finished: Any, *args: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = main(["doctor", *args, "--home", str(finished.home.root)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_a_sound_home_needs_no_mending(finished: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor(finished, capsys=capsys) == (0, "nothing to mend\n", "")


def test_it_says_what_it_would_do_then_does_it_then_finds_nothing(
    finished: Any, lost: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = doctor(finished, "--dry-run", capsys=capsys)
    finding, summary = out.splitlines()
    assert (code, MISSING in finding, finding.endswith("would be put back")) == (1, True, True)
    assert summary == "1 found; without --dry-run they are mended"
    assert not lost.exists()
    code, out, _ = doctor(finished, "toy", capsys=capsys)
    finding, summary = out.splitlines()
    assert (code, finding.endswith("on the dashboard: picture missing: put back")) == (0, True)
    assert summary == "1 found, 1 mended"
    assert lost.exists()
    assert doctor(finished, capsys=capsys)[:2] == (0, "nothing to mend\n")


def test_json_is_one_document(finished: Any, lost: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = doctor(finished, "--json", capsys=capsys)
    report = json.loads(out)
    assert (code, err) == (0, "")
    assert (report["home"], report["dry_run"], report["found"]) == (str(finished.home.root), False, 1)
    assert [(item["study"], item["problem"], item["mended"]) for item in report["findings"]] == [
        ("toy", MISSING, True)
    ]


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (("other",), 1, "no study 'other'"),
        (("--tracking-uri", "file:///runs"), 1, "the scheme must be one of"),
        (("--storage", "sqlite:////none/optuna.db"), 1, "no study 'toy'"),
    ],
)
def test_what_keeps_it_from_looking_is_a_line_and_an_exit_code(
    args: tuple[str, ...], code: int, words: str, finished: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    study = () if args == ("other",) else ("toy",)
    given = [text.format(port=free_port()) for text in args]
    ended, out, err = doctor(finished, *study, *given, capsys=capsys)
    assert (ended, out, words in err, len(err.splitlines())) == (code, "", True, 1)


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        (
            "--tracking-uri",
            "http://127.0.0.1:{port}",
            "toy: the study: not examined: cannot be mended: MLflow",
        ),
        (
            "--storage",
            "postgresql://127.0.0.1:{port}/optuna",
            "the studies: not examined: cannot be mended: --",
        ),
    ],
)
def test_what_is_out_of_reach_is_in_the_report_and_the_exit_code_is_3(
    option: str, value: str, words: str, finished: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = doctor(finished, "toy", option, value.format(port=free_port()), capsys=capsys)
    assert (code, out.startswith(words), err) == (3, True, "")
    assert out.splitlines()[-1] == "1 found, 0 mended"
