import json
import shutil
import signal
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from mlflow_server.config import ServerConfig
from mlflow_server.launch import free_port, start
from search.spool import SpoolFile
from search.tracking import Tracker

FIRST_USE = """
import logging, sys
from pathlib import Path
from search.tracking import Tracker
assert "mlflow" not in sys.modules
logging.basicConfig(level=logging.INFO)
home = Path(sys.argv[1])
tracker = Tracker(f"sqlite:///{home}/mlflow.db", home / "mlartifacts", home / "spool", "first")
tracker.start_run("study", "first", {}, {})
tracker.end_run("study", "FINISHED")
sys.exit(tracker.close(120))
"""

KILLED = """
import sys, time
from pathlib import Path
from search.tracking import Tracker
tracker = Tracker(sys.argv[1], None, Path(sys.argv[2]), "cd3d")
tracker.start_run("study", "cd3d", {"level": "study"}, {"folds": 5})
tracker.log_metrics("study", {"best": 0.7}, step=4)
print("logged", flush=True)
time.sleep(60)
"""


@pytest.fixture(scope="session")
def first_use(tmp_path_factory):
    """The first use of a fresh database, in a process of its own, and the home it leaves behind."""
    home = tmp_path_factory.mktemp("first")
    done = subprocess.run([sys.executable, "-P", "-c", FIRST_USE, str(home)], capture_output=True, text=True)
    return done, home


@pytest.fixture
def uri(first_use, tmp_path):
    shutil.copy(first_use[1] / "mlflow.db", tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path}/mlflow.db"


@pytest.fixture
def unreachable():
    return f"http://127.0.0.1:{free_port()}"


@pytest.fixture
def make(uri, tmp_path):
    made = []

    def make(where=None):
        made.append(Tracker(where or uri, tmp_path / "mlartifacts", tmp_path / "spool", "cd3d"))
        return made[-1]

    yield make
    for tracker in made:
        tracker.close(0)


@pytest.fixture
def read(uri, tmp_path):
    """The run of a key, as another client sees it, once everything that was logged is delivered."""
    from mlflow import MlflowClient

    def read(tracker, key):
        assert tracker.flush(60) == 0
        client = MlflowClient(uri, registry_uri=uri)
        experiment = client.get_experiment_by_name("cd3d")
        (run,) = client.search_runs([experiment.experiment_id], f"tags.`radsearch.key` = '{key}'")
        assert run.info.run_id == tracker.run_id(key)
        return run

    read.client = MlflowClient(uri, registry_uri=uri)
    read.rejected = lambda: [
        json.loads(line) for line in (tmp_path / "spool" / "rejected.jsonl").read_text().splitlines()
    ]
    return read


def open_study(tracker):
    tracker.start_run("study", "cd3d", {"level": "study"}, {})


def test_the_first_use_says_nothing_on_the_terminal_and_loads_mlflow_late(first_use):
    done, home = first_use
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
    assert list((home / "spool").glob("*.jsonl")) == []


def test_study_trial_and_fold_are_nested_runs_with_their_tags(make, read):
    tracker = make()
    open_study(tracker)
    tracker.start_run("trial/3", "trial 3", {"level": "trial", "trial": 3}, {"batch_size": 9}, parent="study")
    tracker.start_run("trial/3/fold/0", "fold 0", {"level": "fold", "fold": 0}, {}, parent="trial/3")
    study, trial, fold = (read(tracker, key) for key in ("study", "trial/3", "trial/3/fold/0"))
    assert trial.data.tags["mlflow.parentRunId"] == study.info.run_id
    assert fold.data.tags["mlflow.parentRunId"] == trial.info.run_id
    assert (trial.data.tags["level"], trial.data.tags["trial"], trial.data.params) == (
        "trial",
        "3",
        {"batch_size": "9"},
    )
    assert (trial.info.run_name, trial.info.status) == ("trial 3", "RUNNING")


def test_curves_arrive_with_their_steps_and_without_undefined_values(make, read):
    tracker = make()
    open_study(tracker)
    for epoch in range(1, 4):
        tracker.log_metrics("study", {"loss": 1 / epoch, "auc": None, "f1": float("nan")}, step=epoch)
    run_id = read(tracker, "study").info.run_id
    curve = [(point.step, point.value) for point in read.client.get_metric_history(run_id, "loss")]
    assert curve == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
    assert read(tracker, "study").data.metrics.keys() == {"loss"}


def test_a_whole_curve_may_be_logged_at_once(make, read):
    tracker = make()
    open_study(tracker)
    tracker.log_curves("study", [{"loss": 1.0}, {"loss": None}, {"loss": 0.25, "auc": 0.5}])
    tracker.log_curves("study", [])
    run = read(tracker, "study")
    curve = [(p.step, p.value) for p in read.client.get_metric_history(run.info.run_id, "loss")]
    assert curve == [(1, 1.0), (3, 0.25)]
    assert run.data.metrics["auc"] == 0.5


def test_files_and_texts_become_artifacts_below_the_folder_given(make, read, tmp_path):
    tracker, picture = make(), tmp_path / "roc.png"
    picture.write_bytes(b"png")
    open_study(tracker)
    tracker.log_artifact("study", picture, "figures")
    tracker.log_text("study", "name = 'ä'\n", "study.toml")
    location = tmp_path / "mlartifacts" / read(tracker, "study").info.run_id / "artifacts"
    assert (location / "figures" / "roc.png").read_bytes() == b"png"
    assert (location / "study.toml").read_text(encoding="utf-8") == "name = 'ä'\n"


def test_a_run_ends_as_it_was_told(make, read):
    tracker = make()
    for number, status in enumerate(("FINISHED", "KILLED", "FAILED")):
        tracker.start_run(f"trial/{number}", "trial", {}, {})
        tracker.end_run(f"trial/{number}", status)
        run = read(tracker, f"trial/{number}")
        assert (run.info.status, run.info.end_time >= run.info.start_time) == (status, True)


def test_a_resumed_trial_goes_on_in_its_run_and_only_missing_params_are_added(make, read):
    first = make()
    first.start_run("trial/3", "trial 3", {"device": "cpu"}, {"rate": 0.1})
    first.end_run("trial/3", "FAILED")
    before = read(first, "trial/3")
    first.close(10)
    second = make()
    second.start_run("trial/3", "trial 3", {"device": "gpu"}, {"rate": 0.2, "folds": 5})
    second.log_params("trial/3", {"folds": 7, "seed": 1})
    after = read(second, "trial/3")
    assert (after.info.run_id, after.info.status) == (before.info.run_id, "RUNNING")
    assert after.data.params == {"rate": "0.1", "folds": "5", "seed": "1"}
    assert after.data.tags["device"] == "gpu"


def test_a_run_that_was_made_but_not_noted_is_found_again(make, read, tmp_path):
    first = make()
    first.start_run("trial/3", "trial 3", {}, {})
    made = read(first, "trial/3").info.run_id
    first.close(10)
    (tmp_path / "spool" / "runs.json").unlink()
    second = make()
    second.log_metrics("trial/3", {"auc": 0.7})
    second.start_run("trial/3", "trial 3", {}, {})
    run = read(second, "trial/3")
    assert (run.info.run_id, run.data.metrics) == (made, {"auc": 0.7})


def test_events_delivered_twice_change_nothing(make, read, tmp_path):
    first = make()
    first.start_run("trial/3", "trial 3", {}, {"rate": 0.1})
    first.log_metrics("trial/3", {"loss": 0.5}, step=1)
    first.end_run("trial/3", "FINISHED")
    (path,) = (tmp_path / "spool").glob("*-*.jsonl")
    events = path.read_text()
    first.close(60)
    path.with_name("a-host-1-1-ab.jsonl").write_text(events)
    run = read(make(), "trial/3")
    assert (run.info.status, run.data.params) == ("FINISHED", {"rate": "0.1"})
    assert len(read.client.get_metric_history(run.info.run_id, "loss")) == 1


def test_more_than_one_request_takes_is_split(make, read):
    tracker = make()
    names = [f"m{number}" for number in range(2300)]
    tracker.start_run("study", "cd3d", {f"t{i}": i for i in range(150)}, {f"p{i}": i for i in range(250)})
    tracker.log_metrics("study", dict.fromkeys(names, 0.5))
    tracker.set_tags("study", {f"u{i}": i for i in range(150)})
    run = read(tracker, "study")
    assert run.data.metrics == dict.fromkeys(names, 0.5)
    assert len(run.data.params) == 250
    assert {f"{kind}{i}" for kind in "tu" for i in range(150)} <= run.data.tags.keys()


def test_long_values_are_cut_visibly(make, read):
    tracker = make()
    tracker.start_run("study", "cd3d", {"note": "ä" * 9000}, {"space": "b" * 6000, "genes": "c" * 6001})
    run = read(tracker, "study")
    assert run.data.tags["note"] == "ä" * 7999 + "…"
    assert run.data.params == {"space": "b" * 6000, "genes": "c" * 5999 + "…"}


def test_what_mlflow_refuses_is_put_aside_and_the_rest_arrives(make, read, tmp_path):
    tracker = make()
    open_study(tracker)
    tracker.log_metrics("study", {"auc": 0.6}, step=1)
    tracker.log_metrics("study", {"a*b?": 0.1}, step=2)
    tracker.log_artifact("study", tmp_path / "vanished.png")
    tracker.log_metrics("trial/9", {"auc": 0.7})
    tracker.log_metrics("study", {"auc": 0.8}, step=3)
    assert read(tracker, "study").data.metrics == {"auc": 0.8}
    reasons = [rejection["reason"] for rejection in read.rejected()]
    assert ["a*b?" in reasons[0], "vanished.png" in reasons[1], "'trial/9' has none" in reasons[2]] == [
        True
    ] * 3


def test_an_event_of_another_version_is_put_aside(make, read, tmp_path):
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "a-host-1-1-ab.jsonl").write_text('{"op":"dance"}\n{"op":"start","key":"study"}\n')
    tracker = make()
    open_study(tracker)
    assert read(tracker, "study").info.status == "RUNNING"
    assert [rejection["event"]["op"] for rejection in read.rejected()] == ["dance", "start"]


def test_a_dead_process_cannot_reopen_or_end_what_others_did_since(make, read, tmp_path):
    tracker = make()
    for key in ("trial/1", "trial/2"):
        tracker.start_run(key, "trial", {}, {})
    tracker.end_run("trial/1", "FAILED")
    assert tracker.flush(60) == 0
    dead = SpoolFile.create(tmp_path / "spool")
    dead.append({"op": "end", "key": "trial/2", "time": 1, "status": "FAILED"})
    late = {"op": "start", "key": "trial/1", "time": 1, "name": "trial", "tags": {}, "params": {"rate": "1"}}
    dead.append(late | {"parent": None})
    dead.close()
    second = make()
    assert read(second, "trial/1").info.status == "FAILED"
    assert read(second, "trial/1").data.params == {"rate": "1"}
    assert read(second, "trial/2").info.status == "RUNNING"


def test_a_deleted_experiment_is_restored_and_a_deleted_run_made_anew(make, read):
    first = make()
    open_study(first)
    old = read(first, "study")
    read.client.delete_run(old.info.run_id)
    read.client.delete_experiment(old.info.experiment_id)
    first.close(0)
    second = make()
    open_study(second)
    new = read(second, "study")
    assert (new.info.experiment_id, new.info.lifecycle_stage) == (old.info.experiment_id, "active")
    assert read.client.get_experiment(old.info.experiment_id).lifecycle_stage == "active"


def test_logging_goes_on_without_a_server_and_the_next_start_catches_up(make, read, unreachable):
    cut_off = make(unreachable)
    open_study(cut_off)
    for epoch in range(20):
        cut_off.log_metrics("study", {"loss": 0.5}, step=epoch)
    assert (cut_off.run_id("study"), cut_off.close(0.2)) == (None, 21)
    run = read(make(), "study")
    assert len(read.client.get_metric_history(run.info.run_id, "loss")) == 20


def test_what_a_killed_process_logged_is_delivered_by_the_next(make, read, unreachable, tmp_path):
    command = [sys.executable, "-P", "-c", KILLED, unreachable, str(tmp_path / "spool")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    run = read(make(), "study")
    assert (run.data.params, run.data.metrics) == ({"folds": "5"}, {"best": 0.7})


def test_a_server_may_come_late_and_leave_early(make, read, uri, tmp_path):
    config = ServerConfig(uri, tmp_path / "mlartifacts", port=free_port())
    tracker = make(config.url)
    open_study(tracker)
    tracker.log_metrics("study", {"auc": 0.6})
    tracker.log_metrics("study", {"a*b?": 0.6})
    assert tracker.flush(0.2) == 3
    server = start(config, tmp_path / "mlflow.log")
    assert read(tracker, "study").data.metrics == {"auc": 0.6}
    server.stop()
    tracker.end_run("study", "FINISHED")
    assert tracker.close(0.2) == 1
    assert read(make(), "study").info.status == "FINISHED"
    assert [rejection["event"]["metrics"] for rejection in read.rejected()] == [{"a*b?": 0.6}]


@pytest.mark.slow
def test_a_server_may_restart(make, read, uri, tmp_path):
    config = ServerConfig(uri, tmp_path / "mlartifacts", port=free_port())
    server = start(config, tmp_path / "mlflow.log")
    tracker = make(server.url)
    open_study(tracker)
    assert tracker.flush(60) == 0
    server.stop()
    tracker.end_run("study", "FINISHED")
    assert tracker.flush(1) == 1
    server = start(config, tmp_path / "mlflow.log")
    assert read(tracker, "study").info.status == "FINISHED"
    server.stop()


def test_a_server_that_takes_requests_and_never_answers_does_not_hold_up_the_end(make):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        tracker = make(f"http://127.0.0.1:{mute.getsockname()[1]}")
        open_study(tracker)
        connection, _ = mute.accept()
        assert tracker.close(0.1) == 1
        connection.close()


def test_a_run_has_a_page_once_it_is_delivered(make, read):
    tracker = make()
    assert tracker.run_url("study", "http://127.0.0.1:5000") is None
    open_study(tracker)
    run = read(tracker, "study").info
    page = f"http://127.0.0.1:5000/#/experiments/{run.experiment_id}/runs/{run.run_id}"
    assert tracker.run_url("study", "http://127.0.0.1:5000/").startswith(page)
    assert tracker.experiment_id() == run.experiment_id


def test_a_status_or_key_that_mlflow_cannot_take_is_refused_at_once(make):
    tracker = make()
    with pytest.raises(ValueError, match="one of FINISHED, KILLED, FAILED, but got 'DONE'"):
        tracker.end_run("study", "DONE")
    with pytest.raises(ValueError, match=r"letters, digits and \._/-, but got"):
        tracker.end_run("it's", "FINISHED")


def test_a_run_may_be_dated_and_one_that_may_be_missing_is_let_be(make, read, tmp_path):
    """As when a run is published again from the record, and when a lost trial's fold may have had none."""
    tracker, began = make(), datetime(2026, 3, 1, 12, tzinfo=UTC)
    tracker.start_run("trial/3", "trial 3", {}, {}, started=began)
    tracker.end_run("trial/3", "FINISHED", ended=began + timedelta(minutes=5))
    tracker.end_run("trial/3/fold/1", "FAILED", if_any=True)
    info = read(tracker, "trial/3").info
    assert (info.start_time, info.end_time - info.start_time) == (1772366400000, 300_000)
    assert not (tmp_path / "spool" / "rejected.jsonl").exists()


def test_the_run_of_a_fold_that_is_there_is_ended(make, read):
    tracker = make()
    tracker.start_run("trial/3/fold/1", "fold 1", {}, {})
    tracker.end_run("trial/3/fold/1", "FAILED", if_any=True)
    assert read(tracker, "trial/3/fold/1").info.status == "FAILED"
