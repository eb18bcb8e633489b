from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.store.db import utils as mlflow_utils

from mlflow_server.launch import free_port
from search.delivery import Outage, Rejected
from search.doctor.leftovers import DRAFT
from search.errors import StudyStoppedError
from search.ledger import FoundRun
from search.mlflow_store import runs as mlflow_runs
from search.mlflow_store.runs import Guard, MlflowRuns, MlflowSink
from search.opening import study_id
from search.run_ids import RunIds


@pytest.fixture
def uri(finished: Any, tmp_path: Path) -> str:
    """A copy of the finished study's database; its artifacts are the original ones."""
    shutil.copy(finished.home.root / "mlflow.db", tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path}/mlflow.db"


@pytest.fixture
def shelf(uri: str, finished: Any) -> MlflowRuns:
    return MlflowRuns(uri, "toy", study_id(finished.outcome.study))


def run_of(shelf: MlflowRuns, key: str) -> FoundRun:
    return next(run for run in shelf.all() if run.key == key)


def test_tags_and_metrics_of_one_run_are_one_request(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = MlflowSink(uri, None, "cd3d", RunIds(tmp_path / "spool", uri, "cd3d"), "cd3d")
    head: dict[str, Any] = {"key": "trial/1", "time": 1}
    sink.deliver([head | {"op": "start", "name": "trial", "tags": {}, "params": {}, "parent": None}])
    requests: list[dict[str, int]] = []
    log_batch = MlflowClient.log_batch

    def record(client: MlflowClient, run_id: str, **content: Any) -> None:
        requests.append({kind: len(items) for kind, items in content.items()})
        log_batch(client, run_id, **content)

    monkeypatch.setattr(MlflowClient, "log_batch", record)
    old, new = ({"op": "tags", "tags": {"device": device}} for device in ("cpu", "gpu"))
    curve: list[dict[str, Any]] = [
        {"op": "metrics", "metrics": {"loss": 1 / step}, "step": step} for step in (1, 2)
    ]
    sink.deliver([head | event for event in (old, *curve, new)])
    (experiment,) = MlflowClient(uri).search_experiments(filter_string="name = 'cd3d'")
    (run,) = MlflowClient(uri).search_runs([experiment.experiment_id])
    assert requests == [{"metrics": 2, "tags": 1}]
    assert (run.data.tags["device"], run.data.metrics["loss"]) == ("gpu", 0.5)


def test_an_experiment_is_there_before_the_first_event(uri: str, tmp_path: Path) -> None:
    MlflowSink(uri, None, "new", RunIds(tmp_path / "spool", uri, "new"), "new").connect()
    assert MlflowClient(uri).get_experiment_by_name("new").lifecycle_stage == "active"
    assert MlflowRuns(uri, "new", "new").all() == []


@pytest.mark.parametrize("at_once", [4, 1000])
def test_every_run_of_the_study_is_read_with_what_it_holds(
    at_once: int, shelf: MlflowRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mlflow_runs, "RUNS_AT_ONCE", at_once)
    runs = {run.key: run for run in shelf.all()}
    folds = {f"trial/{trial}/fold/{split}" for trial in range(2) for split in range(3)}
    assert runs.keys() == {"study", "trial/0", "trial/1"} | folds
    assert len({run.run_id for run in runs.values()}) == 9
    trial, fold = runs["trial/0"], runs["trial/0/fold/2"]
    assert (trial.status, trial.deleted, trial.parent) == ("FINISHED", False, runs["study"].run_id)
    assert (trial.params["optimizer"], trial.metrics["folds_done"]) == ("sgd", 3.0)
    assert (fold.parent, fold.tags["level"]) == (trial.run_id, "fold")


def test_runs_of_another_study_are_not_read(shelf: MlflowRuns, uri: str) -> None:
    assert MlflowRuns(uri, "toy", "another").all() == []
    assert MlflowRuns(uri, "none", "another").all() == []


def test_artifacts_and_curves_are_looked_up_run_by_run(shelf: MlflowRuns, tmp_path: Path) -> None:
    trial = run_of(shelf, "trial/1").run_id
    files = shelf.files(trial)
    assert files.keys() == {"roc.png", "confusion.png", "held_out.png", "out_of_fold.tsv"}
    path = shelf.fetch(trial, "roc.png", tmp_path)
    assert (path, path.stat().st_size) == (tmp_path / "roc.png", files["roc.png"])
    assert shelf.steps(run_of(shelf, "trial/1/fold/0").run_id, "epoch.loss") == {1, 2}
    with pytest.raises((Rejected, Outage)):
        shelf.fetch(trial, "none.png", tmp_path)


def test_a_run_goes_into_the_bin_and_comes_back(shelf: MlflowRuns) -> None:
    run = run_of(shelf, "trial/1")
    shelf.delete(run.run_id)
    assert run_of(shelf, "trial/1").deleted
    shelf.restore(run.run_id)
    assert run_of(shelf, "trial/1") == run


def test_a_run_is_put_below_another(shelf: MlflowRuns) -> None:
    fold, other = run_of(shelf, "trial/0/fold/0"), run_of(shelf, "trial/1")
    shelf.nest(fold.run_id, other.run_id)
    assert run_of(shelf, "trial/0/fold/0").parent == other.run_id


def test_an_experiment_in_the_bin_is_known_as_such(shelf: MlflowRuns, uri: str) -> None:
    assert not shelf.is_binned()
    client = MlflowClient(uri)
    client.delete_experiment(client.get_experiment_by_name("toy").experiment_id)
    assert shelf.is_binned()


def test_a_server_that_is_not_there_is_an_outage() -> None:
    shelf = MlflowRuns(f"http://127.0.0.1:{free_port()}", "toy", "id")
    with pytest.raises(Outage):
        shelf.all()


def test_a_database_that_another_program_made_meanwhile_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow's own server takes no lock, and would write to a file without a name."""
    make, path = mlflow_utils._initialize_tables, tmp_path / "mlflow.db"
    drafts: list[str] = []

    def as_another_does(engine: Any) -> None:
        make(engine)
        drafts.append(Path(engine.url.database).name)
        shutil.copy(engine.url.database, path)
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("CREATE TABLE theirs (value TEXT)")

    monkeypatch.setattr(mlflow_utils, "_initialize_tables", as_another_does)
    assert MlflowRuns(f"sqlite:///{path}", "toy", "id").all() == []
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM theirs").fetchone() == (0,)
    assert DRAFT.fullmatch(drafts[0])
    assert not (path.parent / drafts[0]).exists()


def of_a_later_version(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = 'later'")


def no_database(path: Path) -> None:
    path.write_bytes(b"no database " * 99)


@pytest.mark.parametrize("spoil", [of_a_later_version, no_database])
def test_a_database_that_cannot_be_opened_is_an_outage(
    spoil: Callable[[Path], None], uri: str, tmp_path: Path
) -> None:
    spoil(tmp_path / "mlflow.db")
    with pytest.raises(Outage):
        MlflowRuns(uri, "toy", "id")


START: dict[str, Any] = {"op": "start", "name": "run", "tags": {}, "params": {}, "time": 1}


def sink_of(home: Path, uri: str, guard: Guard = nullcontext) -> MlflowSink:
    return MlflowSink(uri, None, "shared", RunIds(home / "spool", uri, "shared"), "0f", guard)


def test_another_home_that_is_a_moment_earlier_makes_the_experiment_and_the_studys_run(
    empty_database: Path, tmp_path: Path
) -> None:
    """It makes them while this one, having found none, waits for the guard."""
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    uri, held = f"sqlite:///{tmp_path}/mlflow.db", list[str]()
    other = sink_of(tmp_path / "one", uri)
    study = START | {"key": "study", "parent": None}

    @contextmanager
    def waits() -> Iterator[None]:
        other.connect() if not held else other.deliver([study])
        held.append("guard")
        yield

    here = sink_of(tmp_path / "two", uri, waits)
    here.deliver([study])
    here.deliver([START | {"key": "trial/0", "parent": "study"}])
    assert held == ["guard", "guard"]  # nobody else starts the run of a trial
    assert [e.name for e in MlflowClient(uri).search_experiments()].count("shared") == 1
    runs = {run.key: run for run in MlflowRuns(uri, "shared", "0f").all()}
    assert runs["trial/0"].parent == runs["study"].run_id
    assert len(MlflowRuns(uri, "shared", "0f").all()) == 2


def test_a_guard_that_cannot_be_had_is_an_outage_and_nothing_is_made(
    empty_database: Path, tmp_path: Path
) -> None:
    @contextmanager
    def away() -> Iterator[None]:
        raise StudyStoppedError("--storage: the database is away")
        yield

    shutil.copy(empty_database, tmp_path / "mlflow.db")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    with pytest.raises(Outage, match="the database is away"):
        sink_of(tmp_path / "two", uri, away).connect()
    sink_of(tmp_path / "one", uri).connect()
    with pytest.raises(Outage, match="the database is away"):
        sink_of(tmp_path / "two", uri, away).deliver([START | {"key": "study", "parent": None}])
    assert MlflowRuns(uri, "shared", "0f").all() == []


def new_run(age: float = 0.0) -> dict[str, Any]:
    moment = int((time.time() - age) * 1000)
    return START | {"key": "trial/0", "parent": "study", "new": "this session", "time": moment}


@pytest.fixture
def sink(empty_database: Path, tmp_path: Path) -> MlflowSink:
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    sink = MlflowSink(uri, None, "s", RunIds(tmp_path / "spool", uri, "s"), "0f", session="this session")
    sink.deliver([START | {"key": "study", "parent": None}])
    return sink


def trials(sink: MlflowSink) -> list[str]:
    return [run.key for run in MlflowRuns(sink._uri, "s", "0f").all() if run.key != "study"]


@pytest.fixture
def searched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was looked for among all runs."""
    asked: list[str] = []
    search_runs = MlflowClient.search_runs

    def note(client: MlflowClient, experiments: list[str], text: str, *args: Any, **named: Any) -> Any:
        asked.append(text)
        return search_runs(client, experiments, text, *args, **named)

    monkeypatch.setattr(MlflowClient, "search_runs", note)
    return asked


def test_a_run_that_nobody_can_have_started_is_not_looked_for(sink: MlflowSink, searched: list[str]) -> None:
    sink.deliver([new_run()])
    sink.deliver([new_run()])
    assert searched == []
    assert trials(sink) == ["trial/0"]


@pytest.mark.parametrize(("told_by", "age"), [("a process that is dead", 0.0), ("this session", 31.0)])
def test_a_run_that_somebody_may_have_started_since_is_looked_for_and_goes_on(
    sink: MlflowSink, searched: list[str], told_by: str, age: float, tmp_path: Path
) -> None:
    other = MlflowSink(sink._uri, None, "s", RunIds(tmp_path / "elsewhere", sink._uri, "s"), "0f")
    other.deliver([START | {"key": "trial/0", "parent": "study"}])
    searched.clear()
    sink.deliver([new_run(age) | {"new": told_by}])
    assert len(searched) == 1
    assert trials(sink) == ["trial/0"]


def test_a_new_run_whose_making_went_unanswered_is_looked_for(
    sink: MlflowSink, searched: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    create_run = MlflowClient.create_run

    def unanswered(*args: Any, **named: Any) -> None:
        create_run(*args, **named)
        raise Outage("the answer is lost")

    with monkeypatch.context() as patched:
        patched.setattr(MlflowClient, "create_run", unanswered)
        with pytest.raises(Outage, match="the answer is lost"):
            sink.deliver([new_run()])
    sink.deliver([new_run()])
    assert len(searched) == 1
    assert trials(sink) == ["trial/0"]
