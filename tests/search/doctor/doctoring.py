"""A study that ran to its end, ways to break it, and an independent look at whether all agrees."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import optuna
from mlflow import MlflowClient
from mlflow.entities import Run, ViewType
from optuna.trial import FrozenTrial, TrialState

from search.home import Home
from search.owner import Owner
from search.placement import Placement
from search.progress import Listener
from search.records import FoldResult
from search.spool import SpoolFile
from search.storage import open_storage, open_to_read
from search.study_file import read_study
from search.supervisor import RunOptions, run_study
from search.unbooked import UnbookedFile

STUDY = """
name = "toy"
cohort = "cohort"
[validation]
folds = 2
[input]
augmentation = []
[search]
trials = 2
sampler = "random"
pruner = "none"
[space]
architecture = ["roi_means"]
"""
DEAD = str(dataclasses.replace(Owner.of(), start=1))
ELSEWHERE = str(dataclasses.replace(Owner.of(), host="node7"))
ENDED = {"COMPLETE": "FINISHED", "PRUNED": "KILLED", "FAIL": "FAILED"}
PICTURES = {"roc.png", "confusion.png", "held_out.png"}


class Patient:
    """One study in one place, as it was after it ended; `heal` brings it back to that."""

    def __init__(self, folder: Path) -> None:
        (folder / "study.toml").write_text(STUDY)
        self.definition = read_study(folder / "study.toml")
        self.home = Home.at(folder / "home")
        run_study(self.definition, self.home, RunOptions(placements=(Placement(1, None),)), Listener())
        self.folder = self.home.study("toy")
        shutil.copytree(self.home.root, folder / "sound")

    def heal(self) -> None:
        """Everything as it was; MLflow's database holds absolute paths, so the place stays the same."""
        sound, database = self.home.root.with_name("sound"), self.home.root / "mlflow.db"
        if not self.hidden.exists():
            database.rename(self.hidden)
        shutil.rmtree(self.home.root)
        shutil.copytree(sound, self.home.root)
        shutil.copyfile(sound / "mlflow.db", self.hidden)  # the same file: this process has it open
        self.hidden.replace(database)

    @property
    def hidden(self) -> Path:
        """Where MLflow's database is while the home is to have none."""
        return self.home.root.with_name("hidden.db")

    def study(self) -> optuna.Study:
        return optuna.load_study(study_name="toy", storage=open_storage(None, self.home))

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(self.home.tracking_uri)

    def runs(self) -> dict[str, Run]:
        """The active runs by key."""
        return {run.data.tags["radsearch.key"]: run for run in active_runs(self.home)}

    @contextmanager
    def database(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.home.root / "mlflow.db")) as connection, connection:
            yield connection

    def erase(self, key: str, *tables: str) -> None:
        """Remove rows of a run behind MLflow's back."""
        run_id = self.runs()[key].info.run_id
        with self.database() as connection:
            for table in tables:
                connection.execute(f"DELETE FROM {table} WHERE run_uuid = ?", (run_id,))  # noqa: S608

    def artifact(self, key: str, name: str) -> Path:
        return self.home.tracking_artifacts / self.runs()[key].info.run_id / "artifacts" / name

    def dashboard_file(self, name: str) -> Path:
        """The dashboard's file of one picture of trial 0."""
        study = self.study()
        metas = optuna.artifacts.get_all_artifact_meta(study.get_trials()[0], storage=study._storage)
        return self.home.artifacts / next(meta.artifact_id for meta in metas if meta.filename == name)

    def fake_run(self, key: str, level: str, **tags: str) -> Run:
        study = self.runs()["study"]
        tags = {
            "radsearch.key": key,
            "radsearch.study": study.data.tags["radsearch.study"],
            "level": level,
        } | tags
        return self.client.create_run(study.info.experiment_id, tags=tags)

    def dead_spool(self, *events: dict[str, object]) -> None:
        """Events that a process which is gone did not deliver."""
        now = time.time_ns() // 1_000_000
        spool = SpoolFile.create(self.folder.spool)
        spool.append(*({"time": now, **event} for event in events))
        spool.close()

    def lost_trial(self, owner: str = DEAD) -> optuna.Trial:
        """A trial that was left running after its first fold; the second fold's run waits in a dead spool."""
        study = self.study()
        first = study.get_trials()[0]
        trial = study.ask()
        storage, identity = study._storage, trial._trial_id
        trial.suggest_categorical("architecture", ["roi_means"])
        for name in ("radsearch:settings", "radsearch:fold:0"):
            storage.set_trial_system_attr(identity, name, first.system_attrs[name])
        for name, value in {"owner": owner, "key": trial.number, "place": trial.number}.items():
            trial.set_user_attr(name, value)
        trial.report(0.7, step=0)
        key = f"trial/{trial.number}"
        start = {"op": "start", "tags": {}, "params": {}}
        self.dead_spool(
            {**start, "key": key, "name": f"trial {trial.number}", "parent": "study"},
            {**start, "key": f"{key}/fold/1", "name": "fold 1", "parent": key},
        )
        return trial


Breakage = Callable[[Patient], None]


def torn_journal(patient: Patient) -> None:
    with patient.home.journal.open("ab") as stream:
        stream.write(b'{"op_code": 8, "worker_id"')


def undelivered(patient: Patient) -> None:
    patient.dead_spool({"op": "tags", "key": "trial/0", "tags": {"colour": "red"}})


def refused(patient: Patient) -> None:
    event = {"op": "metrics", "key": "trial/1", "time": 1, "metrics": {"extra": 0.5}, "step": 0}
    hopeless = event | {"metrics": {"a*b?": 0.5}}
    lines = [json.dumps({"time": 1, "reason": "none", "event": e}) + "\n" for e in (event, hopeless)]
    (patient.folder.spool / "rejected.jsonl").write_text("".join(lines))


def dead_owner(patient: Patient) -> None:
    patient.lost_trial()


def unbooked_fold(patient: Patient) -> None:
    """Its second fold was finished while the database was away."""
    trial, study = patient.lost_trial(), patient.study()
    text = study.get_trials()[0].system_attrs["radsearch:fold:1"]
    file = UnbookedFile(patient.folder.unbooked, study.user_attrs["id"], trial.number)
    file.keep([FoldResult.from_json(text)])
    file.close()


def missing_copy(patient: Patient) -> None:
    trial, study = patient.lost_trial(), patient.study()
    for name, value in {"ending": "owner lost", "error": "owner lost", "fate": "requeue"}.items():
        trial.set_user_attr(name, value)
    study.tell(trial.number, state=TrialState.FAIL)


def lost_thrice(patient: Patient) -> None:
    patient.lost_trial().set_user_attr("retries", 2)


def trial_left_running(patient: Patient) -> None:
    patient.client.update_run(patient.runs()["trial/0"].info.run_id, status="RUNNING")


def fold_left_running(patient: Patient) -> None:
    patient.client.update_run(patient.runs()["trial/1/fold/1"].info.run_id, status="RUNNING")


def study_left_running(patient: Patient) -> None:
    patient.client.update_run(patient.runs()["study"].info.run_id, status="RUNNING")


def wrong_status(patient: Patient) -> None:
    patient.client.update_run(patient.runs()["trial/1"].info.run_id, status="FAILED")


def binned_run(patient: Patient) -> None:
    patient.client.delete_run(patient.runs()["trial/0"].info.run_id)


def no_trial_run(patient: Patient) -> None:
    patient.erase("trial/1", "metrics", "latest_metrics", "params", "tags", "runs")


def no_fold_run(patient: Patient) -> None:
    patient.erase("trial/0/fold/0", "metrics", "latest_metrics", "params", "tags", "runs")


def no_metrics(patient: Patient) -> None:
    patient.erase("trial/0", "metrics", "latest_metrics")
    patient.erase("trial/1/fold/0", "metrics", "latest_metrics")


def no_params(patient: Patient) -> None:
    patient.erase("trial/1", "params")


def stale_metric(patient: Patient) -> None:
    with patient.database() as connection:
        connection.execute("UPDATE latest_metrics SET value = 0.123 WHERE key = 'roc_auc'")


def no_ending_tag(patient: Patient) -> None:
    with patient.database() as connection:
        connection.execute("DELETE FROM tags WHERE key = 'ending'")


def no_artifacts(patient: Patient) -> None:
    for key, name in {"trial/0": "out_of_fold.tsv", "trial/1": "roc.png", "study": "study.json"}.items():
        patient.artifact(key, name).unlink()
    patient.artifact("trial/1", "out_of_fold.tsv").write_bytes(b"")


def no_picture(patient: Patient) -> None:
    patient.dashboard_file("roc.png").unlink()


def no_picture_anywhere(patient: Patient) -> None:
    """Only the cohort can bring it back."""
    patient.dashboard_file("held_out.png").unlink()
    patient.artifact("trial/0", "held_out.png").unlink()
    (patient.folder.trial(0) / "held_out.png").unlink()


def stray_run(patient: Patient) -> None:
    patient.fake_run("trial/99", "trial")
    patient.fake_run("trial/0/fold/7", "fold")


def second_run(patient: Patient) -> None:
    patient.fake_run("trial/1", "trial")


def misplaced_fold(patient: Patient) -> None:
    runs = patient.runs()
    patient.client.set_tag(
        runs["trial/1/fold/0"].info.run_id, "mlflow.parentRunId", runs["trial/0"].info.run_id
    )


def drafts(patient: Patient) -> None:
    cache = patient.home.cache / f".new-{'0' * 32}"
    cache.mkdir()
    (cache / "images.npy").write_bytes(b"half")
    draft = patient.folder.root / f".study.{'a' * 32}.json"
    draft.write_text("{")
    for path in (cache / "images.npy", cache, draft):
        os.utime(path, (0, 0))


def no_run_ids(patient: Patient) -> None:
    (patient.folder.spool / "runs.json").unlink()


def no_note(patient: Patient) -> None:
    study = patient.study()
    identity = study.get_trials()[1]._trial_id
    for name in system_attrs(study):
        if name.startswith(f"dashboard:{identity}:note_str:"):
            study._storage.set_study_system_attr(study._study_id, name, "")


def no_database(patient: Patient) -> None:
    (patient.home.root / "mlflow.db").rename(patient.hidden)


def binned_experiment(patient: Patient) -> None:
    patient.client.delete_experiment(patient.runs()["study"].info.experiment_id)


# Each way to break a study, and the problems that are to be found then.
BREAKAGES: dict[Breakage, set[str]] = {
    undelivered: {"events undelivered"},
    refused: {"event refused"},
    dead_owner: {"owner dead", "events undelivered"},
    unbooked_fold: {"fold not booked", "owner dead", "events undelivered"},
    missing_copy: {"copy missing", "events undelivered"},
    lost_thrice: {"owner dead", "events undelivered"},
    trial_left_running: {"run left running"},
    fold_left_running: {"run left running"},
    study_left_running: {"run left running"},
    wrong_status: {"status differs"},
    no_metrics: {"metrics differ"},
    no_params: {"parameters missing"},
    stale_metric: {"metrics differ"},
    no_ending_tag: {"tags differ"},
    no_artifacts: {"artifact missing"},
    no_picture: {"picture missing"},
    no_picture_anywhere: {"picture missing", "artifact missing"},
    stray_run: {"run without trial"},
    second_run: {"second run"},
    misplaced_fold: {"run misplaced"},
    drafts: {"unfinished file"},
    no_run_ids: {"run id lost"},
    no_note: {"note missing"},
    # Last, where several come together: they leave nothing for the others to break.
    binned_run: {"trial without run"},
    no_trial_run: {"trial without run"},
    no_fold_run: {"fold without run"},
    torn_journal: {"journal torn"},
    no_database: {"study without run", "trial without run", "fold without run"},
    binned_experiment: {"experiment deleted"},
}


def system_attrs(study: optuna.Study) -> dict[str, object]:
    return dict(study._storage.get_study_system_attrs(study._study_id))


def active_runs(home: Home) -> list[Run]:
    client = MlflowClient(home.tracking_uri)
    experiment = client.get_experiment_by_name("toy")
    return list(client.search_runs([experiment.experiment_id], run_view_type=ViewType.ACTIVE_ONLY))


def agreement(home: Home) -> list[str]:
    """In what the home, Optuna and MLflow differ, found without any of the doctor's own means."""
    storage = open_to_read(None, home)
    study = optuna.load_study(study_name="toy", storage=storage)
    trials = study.get_trials()
    complaints = _complaints_of_home(home, study)
    runs = active_runs(home)
    by_key = {run.data.tags["radsearch.key"]: run for run in runs}
    if len(by_key) != len(runs):
        complaints.append("two runs of one key")
    last = {trial.user_attrs.get("key", trial.number): trial for trial in trials}  # copies come later
    wanted = {"study"}
    for key, trial in last.items():
        wanted |= {f"trial/{key}"} | {f"trial/{key}/fold/{split}" for split in _folds(trial)}
        complaints += _complaints_of_trial(key, trial, trials, by_key, home)
    complaints += [f"no run {key}" for key in wanted - by_key.keys()]
    for key, run in by_key.items():
        unfinished_fold = key not in wanted and int(key.split("/")[1]) in last and key.endswith("/fold/1")
        if key not in wanted and not unfinished_fold:
            complaints.append(f"stray run {key}")
        if run.info.status == "RUNNING":
            complaints.append(f"{key} left running")
        if key != "study":
            parent = by_key.get(key.rpartition("/fold/")[0] or "study")
            if parent is None or run.data.tags.get("mlflow.parentRunId") != parent.info.run_id:
                complaints.append(f"{key} hangs elsewhere")
    if "study" in by_key and by_key["study"].data.metrics.get("best_value") != study.best_value:
        complaints.append("best value")
    return complaints


def _folds(trial: FrozenTrial) -> dict[int, dict[str, object]]:
    texts = [text for name, text in trial.system_attrs.items() if name.startswith("radsearch:fold:")]
    return {fold["split"]: fold for fold in map(json.loads, texts)}


def _complaints_of_trial(
    key: int, trial: FrozenTrial, trials: list[FrozenTrial], by_key: dict[str, Run], home: Home
) -> list[str]:
    if trial.state == TrialState.RUNNING:
        return [f"trial {trial.number} runs"]
    run, folds = by_key.get(f"trial/{key}"), _folds(trial)
    if run is None:
        return []
    ended = trials[trial.user_attrs["retry_of"]] if trial.state == TrialState.WAITING else trial
    complaints = []
    if (
        run.info.status != ENDED[ended.state.name]
        or run.data.tags.get("ending") != ended.user_attrs["ending"]
    ):
        complaints.append(f"trial {key} ended otherwise")
    settings = json.loads(trial.system_attrs["radsearch:settings"])
    if {name: str(value) for name, value in settings.items()}.items() - run.data.params.items():
        complaints.append(f"parameters of trial {key}")
    for split, fold in folds.items():
        found = by_key.get(f"trial/{key}/fold/{split}")
        if found and (found.info.status, found.data.metrics.get("threshold")) != (
            "FINISHED",
            fold["threshold"],
        ):
            complaints.append(f"fold {split} of trial {key}")
    if trial.state == TrialState.COMPLETE and run.data.metrics.get("roc_auc") != trial.value:
        complaints.append(f"value of trial {key}")
    if trial.state != TrialState.WAITING:
        complaints += _complaints_of_table(key, run, folds, home)
    files = home.tracking_artifacts / run.info.run_id / "artifacts"
    if trial.state == TrialState.COMPLETE and not {path.name for path in files.glob("*.png")} >= PICTURES:
        complaints.append(f"pictures of trial {key}")
    return complaints


def _complaints_of_table(key: int, run: Run, folds: dict[int, dict[str, object]], home: Home) -> list[str]:
    path = home.tracking_artifacts / run.info.run_id / "artifacts" / "out_of_fold.tsv"
    rows = [line.split("\t") for line in path.read_text().splitlines()[1:]] if path.exists() else []
    recorded = [p for split in sorted(folds) for p in folds[split]["probabilities"]]  # type: ignore[attr-defined]
    return [] if [float(row[6]) for row in rows] == recorded else [f"table of trial {key}"]


def _complaints_of_home(home: Home, study: optuna.Study) -> list[str]:
    complaints = []
    for trial in study.get_trials():
        for meta in optuna.artifacts.get_all_artifact_meta(trial, storage=study._storage):
            path = home.artifacts / meta.artifact_id
            if not path.exists() or not path.stat().st_size:
                complaints.append(f"{meta.filename} of trial {trial.number} on the dashboard")
    spool = home.study("toy").spool
    complaints += [f"left in the spool: {p.name}" for p in spool.glob("*-*-*.jsonl") if p.stat().st_size]
    if (spool / "rejected.jsonl").exists():
        complaints.append("refused events")
    if not (spool / "runs.json").exists():
        complaints.append("run ids")
    if not home.journal.read_bytes().rstrip(b" ").endswith(b"\n"):
        complaints.append("torn journal")
    complaints += [f"draft {path.name}" for path in home.root.rglob(".*")]
    notes = [value for name, value in system_attrs(study).items() if ":note_str:" in name]
    if not all(notes):
        complaints.append("note")
    return complaints


def fingerprint(folder: Path) -> dict[str, str]:
    """Every file and folder below a folder, with its content's hash."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in sorted(folder.rglob("*"))
    }
