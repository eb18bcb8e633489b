"""`radsearch refit`: one model folder, no fit twice, and what is said where MLflow is gone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from search.cli import main
from search.deployment.registering import Registered
from search.deployment.verification import Verification
from search.errors import StudyStoppedError
from tests.search.deployment.conftest import Refitted


@pytest.fixture
def home(refitted: Refitted, tmp_path: Path) -> Path:
    """A copy of the home with its fits made, whose models are yet to be built."""
    skip = shutil.ignore_patterns("models", "logs")
    return shutil.copytree(refitted.home.root, tmp_path / "home", ignore=skip)


@pytest.fixture(autouse=True)
def unverified(monkeypatch: pytest.MonkeyPatch) -> None:
    """No process is started that asks the model again: test_building.py does that."""
    found = Verification(3, 36, 0.0, 1e-5)
    monkeypatch.setattr("search.deployment.building.verify", lambda *_: found)


@pytest.fixture
def refit_command(home: Path, refitted: Refitted) -> Callable[..., int]:
    def run(*arguments: str) -> int:
        given = ("--home", str(home), "--cohort", str(refitted.cohort), "--skip-explanations")
        return main(["refit", "shallow", *given, *arguments])

    return run


def told(capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, Any], str]:
    said = capsys.readouterr()
    return json.loads(said.out), said.err


def ledger_of(home: Path) -> str:
    return (home / "studies" / "shallow" / "refits" / "refit.jsonl").read_text()


def test_a_model_is_made_once_and_found_again(
    refit_command: Callable[..., int],
    home: Path,
    refitted: Refitted,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    registered: list[tuple[str, str]] = []

    def register(model: Any, _: Any, study: str, identity: str, uri: str | None, __: Any) -> Registered:
        assert uri is None
        registered.append((study, identity))
        return Registered(model.facts.name, 1, "run")

    monkeypatch.setattr("search.commands.refit.register", register)
    before = ledger_of(home)
    assert refit_command("--json") == 0
    record, err = told(capsys)
    folder = Path(record["model"]["folder"])
    assert folder == home / "models" / "shallow" / "1"
    assert (folder / "model.json").is_file()
    assert "research use only" in (folder / "README.md").read_text().lower()
    assert "12 fits, all of them kept from before" in err
    assert record["selected"]["trials"] == list(refitted.plan.trials)
    assert record["members"] == {"all": 3, "folds": 3, "in_all": 12}
    assert (record["training"]["participants"], record["training"]["biopsies"]) == (12, 36)
    assert [label["name"] for label in record["labels"]] == ["CD3D"]
    assert record["verification"]["largest"] == 0.0
    assert record["registered"]["uri"] == "models:/shallow@champion"
    assert record["remarks"] == []
    assert refit_command() == 0
    out = capsys.readouterr().out
    assert "models/shallow/1" in out.replace("\n", "")
    assert "models:/shallow@champion" in out
    assert [path.name for path in (home / "models" / "shallow").iterdir()] == ["1"]
    assert registered == [("shallow", refitted.recorded.user_attrs["id"])] * 2
    assert ledger_of(home) == before


def test_without_mlflow_the_model_stays_and_the_same_call_registers_it(
    refit_command: Callable[..., int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def gone(*_: Any) -> Registered:
        raise StudyStoppedError("MLflow at http://nowhere:1 does not answer")

    call = ("--json", "--trial", "0", "--name", "mine", "--out", str(tmp_path / "model"))
    monkeypatch.setattr("search.commands.refit.register", gone)
    assert refit_command(*call) == 3
    record, err = told(capsys)
    assert record["registered"] is None
    assert record["model"]["folder"] == str(tmp_path / "model")
    assert record["selected"] == {"rule": "named", "trials": [0], "epochs": [None]}
    last = err.strip().splitlines()[-1]
    assert "http://nowhere:1 does not answer" in last
    assert "the same call registers it" in last
    monkeypatch.setattr("search.commands.refit.register", lambda model, *_: Registered("mine", 1, "run"))
    assert refit_command(*call) == 0
    again, _ = told(capsys)
    assert again["registered"]["version"] == 1
    assert again["model"]["created"] == record["model"]["created"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--name", "no/name"), "--name: 100 letters"),
        (("--trial", "99"), "--trial: a trial of study 'shallow' that was run is needed, but got 99"),
        (("--tracking-uri", "ftp://x"), "tracking URI: the scheme must be one of"),
        (("--out", "{taken}"), "--out: an absent or empty folder is needed"),
    ],
)
def test_what_could_only_fail_later_is_refused_before_any_fit(
    arguments: tuple[str, str],
    words: str,
    refit_command: Callable[..., int],
    home: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.txt").write_text("mine")
    before = ledger_of(home)
    assert refit_command(*(one.format(taken=tmp_path / "taken") for one in arguments)) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert words in said.err
    assert len(said.err.splitlines()) == 1
    assert ledger_of(home) == before


def test_an_unknown_study_is_one_line(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["refit", "shalow", "--home", str(home)]) == 1
    assert "did you mean 'shallow'" in capsys.readouterr().err.lower()
