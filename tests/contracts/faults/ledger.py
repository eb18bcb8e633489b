"""What MLflow and the home say of a study at its end, read through MLflow itself, against the storage."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run, ViewType
from optuna.trial import FrozenTrial

from tests.contracts.faults.books import Line, lines_of

KEY = "radsearch.key"
STATUS = {"complete": "FINISHED", "pruned": "KILLED", "child lost": "FAILED", "owner lost": "FAILED"}
PICTURES = {"roc.png", "confusion.png", "held_out.png"}
DRAFT = re.compile(r"^\..+\.[0-9a-f]{32}(\.\w+)?$")


@lru_cache(1)
def _client(home: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{home / 'mlflow.db'}")


def runs_of(home: Path, name: str) -> list[Run]:
    """Every run of a study, deleted ones too."""
    client = _client(home)
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        return []
    return list(client.search_runs([experiment.experiment_id], run_view_type=ViewType.ALL, max_results=5000))


def tracking_amiss(home: Path, name: str, trials: Sequence[FrozenTrial]) -> Iterator[str]:
    """Where MLflow does not agree with the storage."""
    runs = runs_of(home, name)
    for key, count in Counter(run.data.tags.get(KEY) for run in runs).items():
        if count > 1:
            yield f"MLflow has {count} runs of {key}"
    by_key = {run.data.tags.get(KEY, ""): run for run in runs}
    lines = lines_of(trials)
    known = {"study", *(f"trial/{line.key}" for line in lines)}
    for key, run in by_key.items():
        if run.info.status == "RUNNING":
            yield f"the run of {key} is still RUNNING"
        if key not in known and not any(key.startswith(f"{trial}/fold/") for trial in known):
            yield f"a run of {key}, which is no trial"
    if "study" in by_key and by_key["study"].info.status != "FINISHED":
        yield f"the run of the study is {by_key['study'].info.status}"
    for line in lines:
        if f"trial/{line.key}" not in by_key:
            yield f"no run of trial {line.key}"
        else:
            yield from (f"run of trial {line.key}: {text}" for text in _amiss_in(home, line, by_key))


def _amiss_in(home: Path, line: Line, by_key: dict[str, Run]) -> Iterator[str]:
    run = by_key[f"trial/{line.key}"]
    if run.info.status != STATUS.get(str(line.ending)):
        yield f"it is {run.info.status} after {line.ending!r}"
    if run.data.tags.get("ending") != line.ending:
        yield f"it says {run.data.tags.get('ending')!r} after {line.ending!r}"
    if "study" not in by_key or run.data.tags.get("mlflow.parentRunId") != by_key["study"].info.run_id:
        yield "it is not nested in the study's"
    for name, value in (line.settings or {}).items():
        if run.data.params.get(name) != str(value):
            yield f"{name} is {run.data.params.get(name)}, but was {value}"
    if line.ending == "complete":
        if run.data.metrics.get("roc_auc") != line.last.value:
            yield f"roc_auc is {run.data.metrics.get('roc_auc')}, the trial's value {line.last.value}"
        folder = Path(run.info.artifact_uri.removeprefix("file://"))
        artifacts = {path.name for path in folder.glob("[!.]*") if path.stat().st_size}
        if lacking := {*PICTURES, "out_of_fold.tsv"} - artifacts:
            yield f"it lacks {sorted(lacking)}"
    for split, text in line.booked.items():
        fold = by_key.get(f"trial/{line.key}/fold/{split}")
        if fold is None:
            yield f"fold {split} was booked and has no run"
        else:
            yield from (f"fold {split}: {law}" for law in _amiss_of_fold(home, run, fold, json.loads(text)))


def _amiss_of_fold(home: Path, trial: Run, run: Run, fold: dict[str, Any]) -> Iterator[str]:
    if run.info.status != "FINISHED":
        yield f"it is {run.info.status}, but was booked"
    if run.data.tags.get("mlflow.parentRunId") != trial.info.run_id:
        yield "it is not nested in its trial's"
    if run.data.tags.get("device") != fold["device"]:
        yield f"its numbers are of {run.data.tags.get('device')}, the booked ones of {fold['device']}"
    for name in ("seconds", "threshold"):
        if run.data.metrics.get(name) != fold[name]:
            yield f"{name} is {run.data.metrics.get(name)}, but was {fold[name]}"
    history = (
        _client(home).get_metric_history(run.info.run_id, "epoch.loss") if fold["curves"].get("loss") else []
    )
    told = {(metric.step, metric.value) for metric in history}
    curve = enumerate(fold["curves"].get("loss", []), start=1)
    if told != {(step, value) for step, value in curve if value is not None}:
        yield f"its curve is {sorted(told)}"


def files_amiss(home: Path) -> Iterator[str]:
    """Files that no run needs: drafts, and events that MLflow never got."""
    for path in home.rglob("*"):
        if DRAFT.match(path.name):
            yield f"a draft was left: {path.relative_to(home)}"
        elif path.parent.name == "spool" and path.suffix in (".jsonl", ".cursor"):
            yield f"the outbox is not empty: {path.name}: {path.read_text()[:300]}"
