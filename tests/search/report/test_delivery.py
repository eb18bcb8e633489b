"""The report in MLflow and on the dashboard, and what `radsearch doctor` makes of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import optuna
import optuna_dashboard
import pytest
from mlflow import MlflowClient
from optuna.artifacts import get_all_artifact_meta

from search.cli import main
from search.home import Home
from search.publishing import STUDY
from search.recorded import recorded_study
from search.report.delivery import keep, log_report, note_with, show_on_dashboard
from search.run_ids import RunIds
from search.storage import open_storage
from search.tracked import book_tracking


@pytest.fixture
def home(shallow: Path, tmp_path: Path) -> Home:
    shutil.copytree(shallow / "home", tmp_path / "home")
    return Home.at(tmp_path / "home")


def written(folder: Path, text: str) -> dict[str, Path]:
    """A page, a key figure and a table."""
    (folder / "tables").mkdir(parents=True)
    (folder / "tables" / "cost.tsv").write_text(f"cost\n{text}\n")
    (folder / "report.html").write_text(text)
    (folder / "roc.png").write_bytes(b"\x89PNG " + text.encode())
    table = folder / "tables" / "cost.tsv"
    return {"page": folder / "report.html", "roc": folder / "roc.png", "tables/cost": table}


def artifacts(home: Home, tmp_path: Path, teller: Home | None = None) -> dict[str, str]:
    """What the study's run, which `teller` knows, holds in the report's folder, by name."""
    uri = home.tracking_uri
    run = RunIds((teller or home).study("shallow").spool, uri, "shallow").get(STUDY)
    assert run is not None
    client = MlflowClient(uri)
    found = [
        item.path
        for part in ("report", "report/tables")
        for item in client.list_artifacts(run, part)
        if not item.is_dir
    ]
    local = {path: Path(client.download_artifacts(run, path, str(tmp_path))) for path in found}
    return {path: file.read_text(errors="replace") for path, file in local.items()}


def test_the_page_is_an_artifact_of_the_studys_run_and_a_second_one_replaces_it(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study, _ = recorded_study(home, None, "shallow")
    for text in ("first", "second"):
        kept = keep(written(tmp_path / text, text), home.study("shallow"))
        assert log_report(study, kept, home, None) == 0
    shutil.rmtree(tmp_path / "second")  # what was delivered does not depend on the user's folder
    assert artifacts(home, tmp_path)["report/report.html"] == "second"
    assert artifacts(home, tmp_path)["report/tables/cost.tsv"] == "cost\nsecond\n"
    assert main(["doctor", "--home", str(home.root)]) == 0
    assert "artifact" not in capsys.readouterr().out
    assert artifacts(home, tmp_path)["report/report.html"] == "second"
    run = RunIds(home.study("shallow").spool, home.tracking_uri, "shallow").get(STUDY)
    assert MlflowClient(home.tracking_uri).get_run(run).info.status == "FINISHED"


def test_a_report_from_another_home_goes_where_the_study_was_opened(home: Home, tmp_path: Path) -> None:
    url, other = f"sqlite:///{tmp_path}/trials.db", Home.at(tmp_path / "other")
    stored = open_storage(None, home)
    optuna.copy_study(from_study_name="shallow", from_storage=stored, to_storage=open_storage(url, home))
    study = optuna.load_study(study_name="shallow", storage=open_storage(url, home))
    book_tracking(study, None, home)
    kept = keep(written(tmp_path / "out", "from elsewhere"), other.study("shallow"))
    assert log_report(study, kept, other, None) == 0
    assert artifacts(home, tmp_path, other)["report/report.html"] == "from elsewhere"
    assert not (other.root / "mlflow.db").exists()


def test_an_outage_is_no_error_and_the_report_follows_with_the_next_delivery(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.report.delivery.HURRIED_SECONDS", 0.0)
    study, _ = recorded_study(home, None, "shallow")
    kept = keep(written(tmp_path / "out", "late"), home.study("shallow"))
    assert log_report(study, kept, home, "http://127.0.0.1:9") == 3
    assert main(["doctor", "--home", str(home.root)]) == 0
    assert artifacts(home, tmp_path)["report/report.html"] == "late"
    assert artifacts(home, tmp_path)["report/tables/cost.tsv"] == "cost\nlate\n"


def test_the_dashboard_shows_the_latest_figures_once_and_keeps_its_users_words(
    home: Home, tmp_path: Path
) -> None:
    opened = optuna.load_study(study_name="shallow", storage=open_storage(None, home))
    optuna_dashboard.save_note(opened, "Ours: look at trial 3.")
    for text in ("first", "second"):
        kept = keep(written(tmp_path / text, text), home.study("shallow"))
        show_on_dashboard(opened, kept, home, (f"the {text} verdict",))
    (meta,) = get_all_artifact_meta(opened)
    assert meta.filename == "roc.png"
    assert (home.artifacts / meta.artifact_id).read_bytes().endswith(b"second")
    note = str(optuna_dashboard.get_note(opened))
    assert note.startswith("Ours: look at trial 3.")
    assert "the second verdict" in note
    assert "the first verdict" not in note
    assert f"](/artifacts/{opened._study_id}/{meta.artifact_id})" in note


def test_a_note_begins_with_nothing_where_nobody_wrote_one() -> None:
    assert note_with("", "New.").endswith("New.")
    assert "Old." not in note_with(note_with("", "Old."), "New.")
