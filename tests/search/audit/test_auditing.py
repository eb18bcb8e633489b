from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from search.audit.auditing import run_audit
from search.audit.record import LEAK, read_audit
from search.cli import main
from search.home import Home
from search.recorded import recorded_study
from search.versions import software_versions

NAMES = {
    *("participants", "voxels", "duplicate scans", "copied sequences", "duplicate biopsies"),
    *("label policy", "label cut", "scoring images", "scoring labels", "augmentation"),
    *("duplicate expression", "evaluation set", "canary: flipped scan", "canary: cropped scan"),
    *("location", "missingness", "scanner", "participant labels", "participant probe"),
    *("within participants", "size of the result", "pretraining", "looks"),
    *("canary: two ids", "canary: duplicated scan", "canary: participant labels"),
}


@pytest.fixture
def home(shallow: Path, tmp_path: Path) -> Home:
    return Home(shutil.copytree(shallow / "home", tmp_path / "home"))


def test_the_command_writes_the_audit_and_prints_it(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["audit", "shallow", "--home", str(home.root), "--json"]) == 0
    said = capsys.readouterr()
    record = json.loads(said.out)
    kept = read_audit(home.study("shallow"))
    assert kept is not None
    assert kept.to_json() == record
    assert {check["name"] for check in record["checks"]} == NAMES
    assert (record["study"], record["versions"]) == ("shallow", software_versions())
    assert set(record["hashes"]) == {"protocol", "patches", "labels", "folds"}
    assert not any(check["verdict"] == LEAK for check in record["checks"])
    assert "leak:" not in said.err


def test_steps_are_counted_to_the_end_and_the_study_is_left_as_it_was(home: Home) -> None:
    opened, study = recorded_study(home, None, "shallow")
    journal = home.journal.read_bytes()
    steps: list[tuple[int, int]] = []
    run_audit(opened, study, home, lambda done, total: steps.append((done, total)))
    assert steps == sorted(steps)
    assert steps[-1][0] == steps[-1][1] == steps[0][1]
    assert home.journal.read_bytes() == journal
    assert not (home.study("shallow").root / "audit.json").exists()


def test_a_leak_makes_a_line_on_stderr_and_the_exit_code(
    home: Home, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "search.audit.participants.spelt_alike", lambda _: [("sub-000", "sub-001", "sub-002")]
    )
    monkeypatch.setattr("search.audit.participants._is_separated", lambda *_: True)
    capsys.readouterr()
    assert main(["audit", "shallow", "--home", str(home.root)]) == 1
    said = capsys.readouterr()
    (line,) = [line for line in said.err.splitlines() if "leak:" in line]
    assert line.startswith("shallow: leak: participants: sub-000 and sub-001 and sub-002 look like one")
    last = said.out.splitlines()[-1]
    assert last.startswith("shallow: 1 of 26 checks found a leak: participants")


def test_a_study_that_is_not_there_is_named(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "shalow", "--home", str(home.root)]) == 1
    assert "did you mean 'shallow'" in capsys.readouterr().err
