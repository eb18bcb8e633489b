from __future__ import annotations

import http.client
import json
import threading
from contextlib import contextmanager
from wsgiref.simple_server import WSGIRequestHandler, make_server

import optuna
import pytest
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna_dashboard import get_note

from search.dashboard import (
    artifact_store,
    attach_pictures,
    has_note,
    make_app,
    save_trial_note,
    trial_note,
)
from search.links import run_url

MLFLOW = "http://127.0.0.1:5099"
RUNS = {("demo", 3): ("1", "3f2a")}


@pytest.fixture
def study(tmp_path):
    storage = JournalStorage(JournalFileBackend(str(tmp_path / "optuna.journal")))
    return optuna.create_study(study_name="demo", storage=storage)


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "roc.png"
    path.write_bytes(b"\x89PNG first")
    return path


@pytest.fixture
def ask(tmp_path, study):
    """Sends one request to the served dashboard and gives status, headers and body."""

    class Quiet(WSGIRequestHandler):
        def log_message(self, *_):
            pass

    @contextmanager
    def served():
        app = make_app(study._storage, tmp_path / "artifacts", MLFLOW, lambda *key: RUNS.get(key))
        server = make_server("127.0.0.1", 0, app, handler_class=Quiet)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server.server_port
        server.shutdown()
        server.server_close()
        thread.join()

    def request(method, path, headers=None, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request(method, path, body, {"Accept-Encoding": "", **(headers or {})})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, answer.headers, content

    with served() as port:
        yield request


def test_reading_requests_are_answered(ask, study):
    status, _, body = ask("GET", "/api/studies")
    assert status == 200
    assert [entry["study_name"] for entry in json.loads(body)["study_summaries"]] == ["demo"]
    assert ask("HEAD", "/api/studies")[::2] == (200, b"")
    assert b"<html" in ask("GET", "/dashboard")[2].lower()


def test_a_picture_of_a_trial_is_served_also_after_the_trial_ended(ask, study, tmp_path, picture):
    trial = study.ask()
    paths = attach_pictures(study, trial, artifact_store(tmp_path / "artifacts"), {"ROC": picture})
    study.tell(trial, 0.5)
    status, headers, body = ask("GET", paths["ROC"])
    assert (status, headers["Content-Type"], body) == (200, "image/png", b"\x89PNG first")


def test_attaching_again_replaces_the_picture_of_the_same_name(ask, study, tmp_path, picture):
    trial, store = study.ask(), artifact_store(tmp_path / "artifacts")
    first = attach_pictures(study, trial, store, {"ROC": picture})
    picture.write_bytes(b"\x89PNG second")
    frozen = study.get_trials()[0]
    assert attach_pictures(study, frozen, store, {"ROC": picture}) == first
    assert ask("GET", first["ROC"])[2] == b"\x89PNG second"
    shown = json.loads(ask("GET", f"/api/studies/{study._study_id}?after=0")[2])["trials"][0]["artifacts"]
    assert [artifact["filename"] for artifact in shown] == ["roc.png"]


def test_a_finished_trial_takes_no_picture(study, tmp_path, picture):
    trial = study.ask()
    study.tell(trial, 0.5)
    with pytest.raises(UpdateFinishedTrialError, match="can not be updated"):
        attach_pictures(study, trial, artifact_store(tmp_path / "artifacts"), {"ROC": picture})


def test_a_note_is_kept_for_a_running_and_replaced_on_a_finished_trial(study):
    trial = study.ask()
    save_trial_note(study, trial, "running " * 600)
    assert get_note(trial) == "running " * 600
    study.tell(trial, 0.5)
    save_trial_note(study, study.trials[0], "done")
    assert get_note(trial) == "done"


def test_a_first_note_is_kept_without_reading_those_of_other_trials(study, monkeypatch):
    trial, silent = study.ask(), study.ask()
    with monkeypatch.context() as patched:
        patched.setattr(study._storage, "get_study_system_attrs", lambda study_id: pytest.fail("read"))
        save_trial_note(study, trial, "running " * 600, is_first=True)
    assert get_note(trial) == "running " * 600
    kept = study._storage.get_study_system_attrs(study._study_id)
    assert [has_note(kept, known) for known in (trial, silent)] == [True, False]


def test_a_note_holds_the_link_the_lines_and_the_pictures_two_in_a_row():
    pictures = {"ROC": "/artifacts/0/0/ab", "Confusion": "/artifacts/0/0/cd", "Held out": "/artifacts/0/0/ef"}
    assert trial_note(["AUC **0.61**"], pictures, "/mlflow/demo/3").split("\n\n") == [
        "[Open this trial in MLflow](/mlflow/demo/3)",
        "AUC **0.61**",
        "![ROC](/artifacts/0/0/ab) ![Confusion](/artifacts/0/0/cd)",
        "![Held out](/artifacts/0/0/ef)",
    ]


def test_the_link_to_a_run_leads_to_the_mlflow_ui_of_the_moment(ask):
    status, headers, _ = ask("GET", "/mlflow/demo/3")
    assert (status, headers["Location"]) == (302, run_url(MLFLOW, "1", "3f2a"))


def test_a_run_that_mlflow_has_not_taken_yet_is_a_plain_line(ask):
    assert ask("GET", "/mlflow/demo/4")[::2] == (404, b"MLflow has no run of this trial yet.\n")


@pytest.mark.parametrize(
    ("name", "refusal"),
    [("demo", 404), ("../3", 404), ("demo/x", 404), ("a%0d%0aX:y/3", 400), ("/3", 404), ("demo/3/4", 404)],
)
def test_only_a_study_name_and_a_number_are_looked_up(ask, name, refusal):
    status, _, body = ask("GET", f"/mlflow/{name}")
    assert status == refusal
    assert b"MLflow has no run" not in body


def test_a_picture_that_cannot_be_written_whole_leaves_the_one_before(tmp_path, picture):
    class Failing:
        def read(self, size: int = -1) -> bytes:
            raise OSError(28, "No space left on device")

    store = artifact_store(tmp_path / "artifacts")
    with picture.open("rb") as stream:
        store.write("ab", stream)
    with pytest.raises(OSError, match="No space left"):
        store.write("ab", Failing())
    with store.open_reader("ab") as kept:
        assert kept.read() == picture.read_bytes()
    assert [path.name for path in (tmp_path / "artifacts").iterdir()] == ["ab"]
    with pytest.raises(ValueError, match="Invalid artifact_id"):
        store.write("../ab", Failing())
