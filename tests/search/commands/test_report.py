"""`radsearch report`: through the command line, with child processes, MLflow and the dashboard's storage."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import optuna
import optuna_dashboard
import pytest
from mlflow import MlflowClient

from search.audit.looks import read_looks
from search.audit.record import Audit, write_audit
from search.cli import main
from search.commands import report
from search.home import Home
from search.publishing import STUDY
from search.run_ids import RunIds
from search.storage import open_storage


@pytest.fixture
def folder(shallow: Path, tmp_path: Path) -> Path:
    """A home with a finished study of shallow models that was audited, beside its cohort."""
    shutil.copytree(shallow / "home", tmp_path / "home")
    audit = Audit("shallow", "2026-01-01T00:00:00+00:00", 1.0, {}, {}, ())
    write_audit(Home.at(tmp_path / "home").study("shallow"), audit)
    return tmp_path


def write(folder: Path, *words: str) -> int:
    return main(["report", "shallow", "--home", str(folder / "home"), "--out", str(folder / "out"), *words])


def test_a_report_is_written_shown_and_handed_on(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, home = folder / "out", Home.at(folder / "home")
    assert main(["doctor", "--home", str(home.root)]) == 0  # the home was copied: its runs are noted anew
    capsys.readouterr()
    assert write(folder) == 0
    said = capsys.readouterr().out
    assert "6 trials tried to predict CD3D" in said
    page = (out / "report.html").read_text()
    assert said.splitlines()[0][:200] in page
    names = {path.stem for path in (out / "tables").iterdir()}
    wanted = {"trials", "predictions", "performance", "ladder", "folds", "importance", "comparisons", "sheet"}
    assert wanted <= names
    assert {"estimate.svg", "roc.svg", "grid.png"} <= {path.name for path in (out / "figures").iterdir()}

    run = RunIds(home.study("shallow").spool, home.tracking_uri, "shallow").get(STUDY)
    artifacts = {item.path for item in MlflowClient(home.tracking_uri).list_artifacts(run, "report")}
    assert "report/report.html" in artifacts
    tables = {item.path for item in MlflowClient(home.tracking_uri).list_artifacts(run, "report/tables")}
    assert tables == {f"report/tables/{path.name}" for path in (out / "tables").iterdir()}
    study = optuna.load_study(study_name="shallow", storage=open_storage(None, home))
    assert "6 trials tried to predict CD3D" in str(optuna_dashboard.get_note(study)).replace("\\", "")

    assert [one.command for one in read_looks(home.study("shallow"))] == ["report"]

    assert write(folder, "--skip-importance") == 0  # what was measured before is still shown
    assert (out / "tables" / "importance.tsv").exists()
    capsys.readouterr()
    assert main(["doctor", "--home", str(home.root), "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["findings"] == []


def test_importance_can_be_left_out(folder: Path) -> None:
    assert write(folder, "--skip-importance") == 0
    assert not (folder / "out" / "tables" / "importance.tsv").exists()
    assert "radsearch report shallow --out DIR" in (folder / "out" / "report.html").read_text()


def test_a_folder_with_other_files_is_refused_before_anything_is_computed(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "out").mkdir()
    (folder / "out" / "thesis.tex").write_text("mine")
    monkeypatch.setattr(report, "gather", lambda *_: pytest.fail("it was computed"))
    assert write(folder) == 1
    assert (
        "--out: an empty folder, or an earlier report of study 'shallow', is needed"
        in capsys.readouterr().err
    )
    assert [path.name for path in (folder / "out").iterdir()] == ["thesis.tex"]


def test_an_unknown_study_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "shalow", "--home", str(folder / "home"), "--out", str(folder / "out")]) == 1
    assert "did you mean 'shallow'" in capsys.readouterr().err
    assert not (folder / "out").exists()


def test_another_cohort_is_refused_and_nothing_is_left(
    folder: Path, make_cohort, capsys: pytest.CaptureFixture[str]
) -> None:
    other = make_cohort(folder / "other", seed=5)
    assert write(folder, "--cohort", str(other)) == 1
    assert "cohort" in capsys.readouterr().err
    assert sorted(path.name for path in folder.iterdir()) == ["home", "other"]


def test_a_cohort_that_is_gone_is_done_without(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    definition = folder / "home" / "studies" / "shallow" / "study.json"
    settings = json.loads(definition.read_text()) | {"cohort": str(folder / "gone")}
    definition.write_text(json.dumps(settings))
    assert write(folder) == 0
    assert "--cohort says where it is" in capsys.readouterr().err
    assert not (folder / "out" / "figures" / "grid.png").exists()
    assert (folder / "out" / "tables" / "performance.tsv").exists()


def test_tracking_that_is_away_is_no_error(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.report.delivery.HURRIED_SECONDS", 0.0)
    assert write(folder, "--skip-importance", "--tracking-uri", "http://127.0.0.1:9") == 0
    tables = len(list((folder / "out" / "tables").iterdir()))
    assert f"MLflow has not taken {4 + tables} files yet" in capsys.readouterr().err
    assert (folder / "out" / "report.html").exists()


def test_names_of_the_cohort_are_on_the_page_only_where_they_may(folder: Path) -> None:
    definition = folder / "home" / "studies" / "shallow" / "study.json"
    assert write(folder, "--skip-importance") == 0
    text = (folder / "out" / "tables" / "predictions.tsv").read_text()
    assert "B001\tP01" in text
    settings = json.loads(definition.read_text()) | {"tracking": {"identifiers": "original"}}
    definition.write_text(json.dumps(settings))
    assert write(folder, "--skip-importance") == 0
    text = (folder / "out" / "tables" / "predictions.tsv").read_text()
    assert "B001\tP01" not in text


def test_what_is_too_good_is_audited_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    audited = []
    monkeypatch.setattr(report, "is_due", lambda *_: True)
    monkeypatch.setattr(report, "_audit", lambda study, *_: audited.append(study.study_name))
    assert write(folder, "--skip-importance") == 0
    assert audited == ["shallow"]
