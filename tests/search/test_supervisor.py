from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from data_prep.problems import InputError
from mlflow_server.config import ServerConfig
from mlflow_server.launch import free_port, start
from search.booking import finished_folds
from search.cli import main
from search.crew import Stop
from search.errors import StudyStoppedError
from search.home import Home
from search.metrics import DIRECTIONS
from search.mlflow_store.runs import Guard
from search.placement import Placement
from search.progress import Listener
from search.results import study_record
from search.run_ids import EXPERIMENT, RunIds
from search.study_file import Study, read_study
from search.supervisor import RunOptions, create_study, run_study
from search.tracking import Tracker

MakeStudy = Callable[..., Study]


def record_of(finished: Any) -> dict[str, Any]:
    return study_record(finished.outcome.study, finished.home)


def test_a_study_ends_with_the_trials_asked_for_each_with_all_its_folds(finished: Any) -> None:
    trials = record_of(finished)["trials"]
    assert [trial["state"] for trial in trials] == ["COMPLETE", "COMPLETE"]
    assert [trial["folds_done"] for trial in trials] == [3, 3]
    assert finished.outcome.undelivered == 0


def test_the_enqueued_trial_runs_first_and_as_enqueued(finished: Any) -> None:
    params = record_of(finished)["trials"][0]["params"]
    assert (params["optimizer"], params["momentum"], params["patch_radius"]) == ("sgd", 0.5, 3)


def test_every_biopsy_is_held_out_once_a_trial(finished: Any) -> None:
    for trial in finished.outcome.study.get_trials():
        folds = list(finished_folds(trial).values())
        assert sorted(row for fold in folds for row in fold.rows) == list(range(36))
        people = [set(fold.participants) for fold in folds]
        assert sum(map(len, people)) == len(set.union(*people)) == 12


def test_the_value_is_the_metric_over_all_folds_and_steps_are_running_means(finished: Any) -> None:
    for trial, frozen in zip(record_of(finished)["trials"], finished.outcome.study.get_trials(), strict=True):
        assert trial["value"] == trial["metrics"]["roc_auc"] == frozen.intermediate_values[2]
        assert frozen.intermediate_values[0] == trial["fold_metrics"][0]["roc_auc"]
        assert set(trial["metrics"]) == set(DIRECTIONS)


def test_running_a_finished_study_again_runs_nothing(finished: Any) -> None:
    before = record_of(finished)
    outcome = run_study(finished.study, finished.home, RunOptions(), Listener())
    assert study_record(outcome.study, finished.home) == before


def test_the_same_study_gives_the_same_numbers(finished: Any, make_study: MakeStudy, tmp_path: Path) -> None:
    again = make_study(tmp_path, "search.trials=1")
    outcome = run_study(again, Home.at(tmp_path / "home"), RunOptions(), Listener())
    first, second = finished.outcome.study.get_trials()[0], outcome.study.get_trials()[0]
    for split in range(3):
        one, other = (finished_folds(trial)[split] for trial in (first, second))
        assert one.probabilities == other.probabilities


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("training.epochs=3", "training.epochs: must stay 2 as it was at the study's start, but got 3"),
        ("validation.folds=4", "validation.folds: must stay 3"),
        ("label.genes=['CD3E']", "label.genes: must stay ['CD3D']"),
        ("search.metric=brier", "search.metric: must stay 'roc_auc'"),
        ("space.batch_size=[3, 18]", "space.batch_size: must keep 9 of its choices 9, but got 3, 18"),
    ],
)
def test_another_study_under_the_same_name_is_refused(
    finished: Any, make_study: MakeStudy, override: str, line: str
) -> None:
    changed = make_study(finished.home.root.parent, override)
    with pytest.raises(InputError, match="toy") as caught:
        run_study(changed, finished.home, RunOptions(), Listener())
    assert line in str(caught.value)


def test_labels_that_changed_under_a_study_are_refused(make_study: MakeStudy, tmp_path: Path) -> None:
    study, home = make_study(tmp_path, "search.trials=1"), Home.at(tmp_path / "home")
    run_study(study, home, RunOptions(), Listener())
    table = tmp_path / "cohort" / "expression.tsv"
    header, first, *rest = table.read_text().splitlines()
    table.write_text("\n".join([header, first.split("\t")[0] + "\t99\t99", *rest]) + "\n")
    with pytest.raises(InputError, match=r"study 'toy': cohort\.labels: must stay"):
        run_study(make_study(tmp_path, "search.trials=2"), home, RunOptions(), Listener())


def test_a_smaller_largest_radius_is_named_and_not_a_hash(finished: Any, make_study: MakeStudy) -> None:
    narrower = make_study(finished.home.root.parent, "space.patch_radius={ low = 2, high = 3 }")
    with pytest.raises(
        InputError, match=r"space\.patch_radius\.high: must stay at least 4, .* got 3"
    ) as caught:
        run_study(narrower, finished.home, RunOptions(), Listener())
    assert len(caught.value.problems) == 1


def test_more_trials_of_the_same_study_continue_it(make_study: MakeStudy, tmp_path: Path) -> None:
    home = Home.at(tmp_path / "home")
    run_study(make_study(tmp_path, "search.trials=1"), home, RunOptions(), Listener())
    outcome = run_study(make_study(tmp_path, "search.trials=3"), home, RunOptions(), Listener())
    rates = [trial.params["learning_rate"] for trial in outcome.study.get_trials()]
    assert len(set(rates)) == 3


def test_two_slots_share_the_trials(make_study: MakeStudy, tmp_path: Path) -> None:
    study, home = make_study(tmp_path, "search.trials=4"), Home.at(tmp_path / "home")
    options = RunOptions(placements=(Placement(1, None),) * 2)
    record = study_record(run_study(study, home, options, Listener()).study, home)
    assert [trial["state"] for trial in record["trials"]] == ["COMPLETE"] * 4
    logs = home.study("toy").logs
    assert all((logs / f"slot-{index}.log").stat().st_size for index in range(2))


def runs_of(uri: str, name: str = "toy") -> dict[str, Any]:
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(name)
    return {run.info.run_id: run for run in client.search_runs([experiment.experiment_id])}


def test_two_homes_with_a_study_of_one_name_keep_their_runs_apart(
    make_study: MakeStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    uri, run_ids = f"sqlite:///{tmp_path}/shared.db", list[str]()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        study, home = make_study(tmp_path / name, "search.trials=1"), Home.at(tmp_path / name / "home")
        outcome = run_study(study, home, RunOptions(tracking=uri), Listener())
        run_ids += [trial["mlflow_run_id"] for trial in study_record(outcome.study, home, uri)["trials"]]
    assert len(set(run_ids)) == 2
    assert not (tmp_path / "mlruns").exists()
    assert len(runs_of(uri)) == 2 * (1 + 1 + 3)


def test_a_failed_trial_leaves_no_mlflow_run_running_and_says_why(
    make_study: MakeStudy, tmp_path: Path
) -> None:
    diverging = "search.enqueue=[{ optimizer = 'sgd', learning_rate = 1e30, momentum = 0.5 }]"
    wide = "space.learning_rate={ low = 1e-3, high = 1e30, log = true }"
    study, home = make_study(tmp_path, diverging, wide, "search.trials=1"), Home.at(tmp_path / "home")
    record = study_record(run_study(study, home, RunOptions(), Listener()).study, home)
    (trial,) = record["trials"]
    assert trial["state"] == "FAIL"
    assert "finite" in trial["error"]
    runs = runs_of(home.tracking_uri)
    statuses = sorted((run.data.tags["level"], run.info.status) for run in runs.values())
    assert statuses == [("fold", "FAILED"), ("study", "FINISHED"), ("trial", "FAILED")]
    assert "finite" in runs[trial["mlflow_run_id"]].data.tags["error"]


class Hearing(Listener):
    """Keeps what it hears of endings and notes."""

    def __init__(self) -> None:
        self.ended: list[str] = []
        self.notes: list[str] = []

    def trial_ended(self, number: int, cause: str, value: float | None, message: str) -> None:
        self.ended.append(cause)

    def note(self, text: str) -> None:
        self.notes.append(text)


ENDLESS = ("training.epochs=100000", "training.early_stopping=none")


def test_a_trial_over_its_time_is_stopped_in_mid_fold_and_told_once(
    make_study: MakeStudy, tmp_path: Path
) -> None:
    study = make_study(tmp_path, *ENDLESS, "search.trials=2", "search.trial_timeout=1")
    home, heard = Home.at(tmp_path / "home"), Hearing()
    record = study_record(run_study(study, home, RunOptions(), heard).study, home)
    assert heard.ended == ["over time", "over time"]
    assert [trial["state"] for trial in record["trials"]] == ["PRUNED", "PRUNED"]
    assert all("a trial may take 1 s" in trial["error"] for trial in record["trials"])
    tags = [run.data.tags for run in runs_of(home.tracking_uri).values()]
    assert [tag["ending"] for tag in tags if tag["level"] == "trial"] == ["over time"] * 2
    assert {run.info.status for run in runs_of(home.tracking_uri).values()} == {"FINISHED", "KILLED"}


def test_a_study_starts_no_trial_that_it_cannot_finish_and_goes_on_later(
    make_study: MakeStudy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home.at(tmp_path / "home")
    first = run_study(make_study(tmp_path, "search.trials=1"), home, RunOptions(), Listener()).study
    took = sum(fold.seconds for fold in finished_folds(first.get_trials()[0]).values())
    command = ["run", str(tmp_path / "study.toml"), "--home", str(home.root), "--workers", "1"]
    assert main([*command, "--timeout", str(took / 2)]) == 0
    said = capsys.readouterr()
    assert said.err.count("no further trial is started") == 1
    assert f"one is expected to take {took:.1f} s" in said.err
    assert "Stopped by the time limit" in said.out
    assert len(first.get_trials()) == 1
    assert main([*command, "--timeout", "600"]) == 0
    assert "Stopped by" not in capsys.readouterr().out
    assert [trial.state.name for trial in first.get_trials()] == ["COMPLETE", "COMPLETE"]


SHALLOW = ("search.enqueue=[]", "space={}", "space.architecture=['constant']", "search.trials=1")


def test_code_that_changes_meanwhile_stops_the_study_and_puts_the_trial_back(
    make_study: MakeStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was compared with the study's is what trains: a child starts later, and looks for itself."""
    study, home = make_study(tmp_path, *SHALLOW), Home.at(tmp_path / "home")
    monkeypatch.setattr("search.composing.code_identity", lambda: {"source": "0" * 64})
    with pytest.raises(InputError, match="code: the code changed while the study was running") as caught:
        run_study(study, home, RunOptions(), Listener())
    assert len(caught.value.problems) == 1
    monkeypatch.undo()
    trials = run_study(study, home, RunOptions(), Listener()).study.get_trials()
    assert [(trial.state.name, trial.user_attrs["ending"]) for trial in trials] == [
        ("FAIL", "interrupted"),
        ("COMPLETE", "complete"),
    ]


def test_a_child_hears_that_its_process_leaves(
    make_study: MakeStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a cluster that clears a node by SIGTERM would leave lost children behind."""
    stop = Stop()

    def child_of(*given: Any) -> Any:
        assert given[3:] == (stop.event, stop.leaving)
        raise InputError("seen")

    monkeypatch.setattr("search.supervisor.Stop", lambda: stop)
    monkeypatch.setattr("search.supervisor.Child", child_of)
    with pytest.raises(InputError, match="seen"):
        run_study(make_study(tmp_path, *SHALLOW), Home.at(tmp_path / "home"), RunOptions(), Listener())


def test_mlflow_must_be_there_at_first_and_an_outage_later_fails_no_trial(
    make_study: MakeStudy, tmp_path: Path
) -> None:
    study, home = make_study(tmp_path, *SHALLOW), Home.at(tmp_path / "home")
    config = ServerConfig(f"sqlite:///{tmp_path}/server.db", tmp_path / "artifacts", port=free_port())
    uri = config.url
    with pytest.raises(StudyStoppedError, match=r"tracking URI: MLflow at \S+ cannot be reached"):
        run_study(study, home, RunOptions(tracking=uri), Listener())
    assert not home.root.exists()

    with RunIds(home.study("toy").spool, uri, "toy").locked() as note:
        note(EXPERIMENT, "1")  # as after an earlier start
    outcome = run_study(study, home, RunOptions(tracking=uri), Listener())
    (trial,) = study_record(outcome.study, home, uri)["trials"]
    assert (trial["state"], trial["mlflow_run_id"]) == ("COMPLETE", None)
    assert outcome.undelivered > 0

    server = start(config, tmp_path / "server.log")
    try:
        outcome = run_study(study, home, RunOptions(tracking=uri), Listener())
        assert outcome.undelivered == 0
        (trial,) = study_record(outcome.study, home, uri)["trials"]
        run = MlflowClient(uri).get_run(trial["mlflow_run_id"])
        assert run.info.status == "FINISHED"
        assert run.data.metrics["roc_auc"] == pytest.approx(trial["value"])
    finally:
        server.stop()


def test_homes_on_one_database_make_mlflows_runs_one_at_a_time(
    shallow: Path, tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    guards: list[Guard] = []

    class Spy(Tracker):
        def __init__(self, *args: Any) -> None:
            guards.append(args[-1])
            super().__init__(*args)

    monkeypatch.setattr("search.supervisor.Tracker", Spy)
    shutil.copy(shallow / "home" / "mlflow.db", tmp_path / "mlflow.db")
    study, uri = read_study(shallow / "study.toml", ["name=both"]), f"sqlite:///{tmp_path}/mlflow.db"
    for name in ("one", "two"):
        create_study(study, Home.at(tmp_path / name), RunOptions(database, uri), Listener())
    (run,) = runs_of(uri, "both").values()
    assert run.info.status == "RUNNING"
    one, two = guards
    entered = threading.Event()

    def enter() -> None:
        with two():
            entered.set()

    waiting = threading.Thread(target=enter)
    with one():
        waiting.start()
        assert not entered.wait(0.5)
    assert entered.wait(60)
    waiting.join()


def start_cli(folder: Path, *extra: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "search.cli", "run", "study.toml", "--home", "home", *extra]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(process: subprocess.Popen[str], text: str) -> str:
    """Read the process' stderr up to a line that holds `text`."""
    assert process.stderr is not None
    seen = ""
    deadline = time.monotonic() + 120
    while text not in seen and time.monotonic() < deadline:
        line = process.stderr.readline()
        assert line, f"the process ended before it said {text!r}: {seen}"
        seen += line
    return seen


def shown(folder: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "search.cli", "show", "toy", "--json", "--home", "home"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


LONG = ("--set", "training.epochs=25", "--set", "training.early_stopping=none", "--trials", "2")


def test_ctrl_c_books_and_a_kill_loses_nothing(make_study: MakeStudy, tmp_path: Path) -> None:
    """Ctrl-C after the first fold, kill -9 after the next, then on to the end: no number differs."""
    for folder in (tmp_path / "disturbed", tmp_path / "undisturbed"):
        folder.mkdir()
        make_study(folder)
    disturbed = tmp_path / "disturbed"
    process = start_cli(disturbed, *LONG)
    wait_for(process, "trial 0 fold 0")
    process.send_signal(signal.SIGINT)
    stdout, _ = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "everything booked" in stdout
    trial = shown(disturbed)["trials"][0]
    assert (trial["state"], trial["folds_done"] >= 1) == ("WAITING", True)

    process = start_cli(disturbed, *LONG)
    wait_for(process, " fold 2:")
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)

    for folder in (disturbed, tmp_path / "undisturbed"):
        process = start_cli(folder, *LONG)
        process.communicate(timeout=300)
        assert process.returncode == 0
    trials, expected = shown(disturbed)["trials"], shown(tmp_path / "undisturbed")["trials"]
    assert [trial["state"] for trial in trials] == ["COMPLETE", "COMPLETE"]
    for same in ("params", "fold_metrics"):
        assert [trial[same] for trial in trials] == [trial[same] for trial in expected]
    runs = runs_of(Home.at(disturbed / "home").tracking_uri)
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    assert len(runs) == 1 + 2 + 2 * 3
    assert all(runs[trial["mlflow_run_id"]].data.tags["error"] == "" for trial in trials)
