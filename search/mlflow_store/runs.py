"""Runs: events turned into requests, and runs read back.

MLflow is imported when the first request is made, so importing this module costs nothing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from search.delivery import JOINED, METRICS_AT_ONCE, Rejected
from search.ledger import FoundRun
from search.mlflow_store.connecting import client_at, connecting, verdicts
from search.run_ids import EXPERIMENT, RunIds
from search.spool import Event

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

logger = logging.getLogger(__name__)

Item = TypeVar("Item")
Guard: TypeAlias = Callable[[], AbstractContextManager[None]]

KEY_TAG, STUDY_TAG, OPENED_TAG = "radsearch.key", "radsearch.study", "radsearch.opened"
PARENT_TAG = "mlflow.parentRunId"

# Limits of one MLflow request (mlflow/utils/validation.py).
PARAMS_AT_ONCE = TAGS_AT_ONCE = 100
RUNS_AT_ONCE = 1000

FRESH_SECONDS = 30.0  # a process that is silent for so long still has its trials (`--grace`)


class MlflowSink:
    """Turns events into MLflow requests; every one of them may safely be made twice.

    Args:
        uri: Tracking URI.
        artifacts: As in `Tracker`.
        experiment: Name of the experiment: made if it is missing, restored if it was deleted.
        run_ids: Where the runs of this experiment are noted.
        study_id: What marks the runs of this study among others in the experiment.
        guard: As in `Tracker`.
        session: Of the `Tracker` whose events these are; others come from processes that died.
    """

    def __init__(
        self,
        uri: str,
        artifacts: Path | None,
        experiment: str,
        run_ids: RunIds,
        study_id: str,
        guard: Guard = nullcontext,
        session: str = "",
    ) -> None:
        self._uri = uri
        self._artifacts = artifacts
        self._experiment = experiment
        self._study_id = study_id
        self._run_ids = run_ids
        self._guard = guard
        self._session = session
        self._tried: set[str] = set()  # keys of new runs that were asked for, and may be there
        self._connected: tuple[MlflowClient, str] | None = None
        self._handlers: dict[str, Callable[[MlflowClient, Event], None]] = {
            "start": self._start,
            "params": lambda client, event: self._complete(client, self._run(client, event), event["params"]),
            "artifact": self._artifact,
            "text": lambda client, event: client.log_text(
                self._id(client, event), event["text"], event["name"]
            ),
            "end": self._end,
        }

    def deliver(self, events: Sequence[Event]) -> None:
        """See `search.delivery.Sink`."""
        op = events[0].get("op")
        if op not in JOINED and op not in self._handlers:
            known = ", ".join((*JOINED, *self._handlers))
            raise Rejected(f"an event must be one of {known}, but got {op!r}")
        client, _ = self._connection()
        with verdicts():
            if op in JOINED:
                self._batch(client, events)
            else:
                self._handlers[op](client, events[0])

    def connect(self) -> None:
        """Make the experiment, or take it out of MLflow's bin, ahead of the first event.

        Raises:
            Outage: MLflow cannot be reached.
        """
        self._connection()

    def _connection(self) -> tuple[MlflowClient, str]:
        if self._connected is None:
            with connecting():
                client = client_at(self._uri)
                self._connected = client, self._open_experiment(client)
        return self._connected

    def _open_experiment(self, client: MlflowClient) -> str:
        with self._run_ids.locked() as note:
            found = client.get_experiment_by_name(self._experiment)
            if found is None:
                identifier = self._make_experiment(client)
            else:
                identifier = str(found.experiment_id)
                if found.lifecycle_stage == "deleted":
                    client.restore_experiment(identifier)
            note(EXPERIMENT, identifier)
        return identifier

    def _make_experiment(self, client: MlflowClient) -> str:
        location = self._artifacts.absolute().as_uri() if self._artifacts else None
        # The kind chooses the UI's view: runs and models rather than traces of a language model.
        tags = {"mlflow.experimentKind": "custom_model_development"}
        with self._guard():
            found = client.get_experiment_by_name(self._experiment)  # of another home, a moment ago
            if found is not None:
                return str(found.experiment_id)
            return str(client.create_experiment(self._experiment, location, tags))

    def _start(self, client: MlflowClient, event: Event) -> None:
        key, opened = event["key"], {OPENED_TAG: str(event["time"])}
        with self._run_ids.locked() as note:
            run = None if self._is_first(event) else self._find(client, key)
            if run is None:
                run = self._made_once(client, event, opened)
            elif self._is_news(run, event):
                client.update_run(run.info.run_id, status="RUNNING", name=event["name"])
                self._tag(client, run.info.run_id, event["tags"] | opened)
            note(key, run.info.run_id)
        self._tried.discard(key)
        self._complete(client, run, event["params"])

    def _is_first(self, event: Event) -> bool:
        """Whether there can be no run of an event's key yet, so that none is looked for.

        That is so while a new run is asked for once, as the answer may have been lost; by the process that
        said so; and a moment ago, as a trial of whose process nothing was heard may be run by another.
        """
        key, age = event["key"], time.time() - event["time"] / 1000
        is_first = event.get("new") == self._session and age < FRESH_SECONDS and key not in self._tried
        self._tried.add(key)
        return is_first and self._run_ids.get(key) is None

    def _made_once(self, client: MlflowClient, event: Event, opened: Mapping[str, str]) -> Run:
        """Make a run, unless another home has made it a moment ago.

        That may be of a run at the top, which all homes start. One below it is of whoever holds the trial.
        """
        if event["parent"] is not None:
            return self._create(client, event, opened)
        with self._guard():
            return self._find(client, event["key"]) or self._create(client, event, opened)

    def _create(self, client: MlflowClient, event: Event, opened: Mapping[str, str]) -> Run:
        tags = event["tags"] | opened | {KEY_TAG: event["key"], STUDY_TAG: self._study_id}
        tags |= {"mlflow.source.name": "radsearch", "mlflow.source.type": "LOCAL"}
        if event["parent"] is not None:
            parent = self._run_ids.get(event["parent"])
            if parent is None:
                found = self._find(client, event["parent"])
                parent = found.info.run_id if found else None
            if parent is None:
                logger.warning("MLflow run of %r: no run of its parent %r", event["key"], event["parent"])
            else:
                tags[PARENT_TAG] = parent
        _, experiment = self._connection()
        return client.create_run(experiment, event.get("started", event["time"]), tags, event["name"])

    def _find(self, client: MlflowClient, key: str) -> Run | None:
        """The run of a key: the one noted, or, noted or not, the one that carries the key's tags."""
        from mlflow.exceptions import MlflowException

        noted = self._run_ids.get(key)
        if noted is not None:
            try:
                run = client.get_run(noted)
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
            else:
                if run.info.lifecycle_stage == "active":
                    return run
        _, experiment = self._connection()
        runs = client.search_runs(
            [experiment], f"tags.`{KEY_TAG}` = '{key}'", order_by=["attributes.start_time ASC"]
        )
        return next((run for run in runs if run.data.tags.get(STUDY_TAG) == self._study_id), None)

    def _run(self, client: MlflowClient, event: Event) -> Run:
        run = self._find(client, event["key"])
        if run is None:
            raise Rejected(f"a run must be started first, but {event['key']!r} has none")
        if self._run_ids.get(event["key"]) != run.info.run_id:
            with self._run_ids.locked() as note:
                note(event["key"], run.info.run_id)
        return run

    def _id(self, client: MlflowClient, event: Event) -> str:
        return self._run_ids.get(event["key"]) or str(self._run(client, event).info.run_id)

    def _complete(self, client: MlflowClient, run: Run, params: Mapping[str, str]) -> None:
        from mlflow.entities import Param

        missing = [Param(name, text) for name, text in params.items() if name not in run.data.params]
        for chunk in _chunks(missing, PARAMS_AT_ONCE):
            client.log_batch(run.info.run_id, params=chunk)

    def _tag(self, client: MlflowClient, run_id: str, tags: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        for chunk in _chunks([RunTag(name, text) for name, text in tags.items()], TAGS_AT_ONCE):
            client.log_batch(run_id, tags=chunk)

    def _batch(self, client: MlflowClient, events: Sequence[Event]) -> None:
        from mlflow.entities import Metric, RunTag

        metrics = [
            Metric(name, value, event["time"], event["step"])
            for event in events
            if event["op"] == "metrics"
            for name, value in event["metrics"].items()
        ]
        tags: dict[str, str] = {}
        for event in events:
            if event["op"] == "tags":
                tags |= event["tags"]
        run_id = self._id(client, events[0])
        first, *rest = list(_chunks([RunTag(*tag) for tag in tags.items()], TAGS_AT_ONCE)) or [[]]
        for chunk in _chunks(metrics, METRICS_AT_ONCE):
            client.log_batch(run_id, metrics=chunk, tags=first)
            first = []
        for some in [first, *rest]:
            if some:
                client.log_batch(run_id, tags=some)

    def _artifact(self, client: MlflowClient, event: Event) -> None:
        if not Path(event["path"]).is_file():
            raise Rejected(f"an artifact must be a file until it is delivered, but {event['path']} is none")
        client.log_artifact(self._id(client, event), event["path"], event["folder"] or None)

    def _end(self, client: MlflowClient, event: Event) -> None:
        if event.get("if_any") and self._find(client, event["key"]) is None:
            return
        run = self._run(client, event)
        if event["time"] >= int(run.data.tags.get(OPENED_TAG, 0)):
            client.set_terminated(run.info.run_id, event["status"], event.get("ended", event["time"]))

    @staticmethod
    def _is_news(run: Run, event: Event) -> bool:
        """Whether the run was neither opened nor ended later than the event, say by another process."""
        opened = int(run.data.tags.get(OPENED_TAG, 0))
        return bool(event["time"] >= max(opened, run.info.end_time or 0))


class MlflowRuns:
    """The runs of one study, to be read and put in order; nothing is made by looking.

    Every method raises `Outage` where MLflow cannot be reached, `Rejected` where it refuses.

    Args:
        uri: Tracking URI.
        experiment: Name of the experiment.
        study_id: What marks the runs of this study among others in the experiment.
    """

    def __init__(self, uri: str, experiment: str, study_id: str) -> None:
        self._experiment, self._study_id = experiment, study_id
        with connecting():
            self._client = client_at(uri)

    def is_binned(self) -> bool:
        """Whether the experiment is in MLflow's bin."""
        with verdicts():
            experiment = self._client.get_experiment_by_name(self._experiment)
            return experiment is not None and experiment.lifecycle_stage == "deleted"

    def all(self) -> list[FoundRun]:
        """Every run, the deleted ones too, the oldest first."""
        from mlflow.entities import ViewType

        found: list[Run] = []
        with verdicts():
            experiment = self._client.get_experiment_by_name(self._experiment)
            if experiment is None:
                return []
            mine, token = f"tags.`{STUDY_TAG}` = '{self._study_id}'", None
            while token != "":
                page = self._client.search_runs(
                    [experiment.experiment_id],
                    mine,
                    ViewType.ALL,
                    RUNS_AT_ONCE,
                    ["attributes.start_time ASC"],
                    token,
                )
                found += page
                token = page.token or ""
        return [_found(run) for run in found if KEY_TAG in run.data.tags]

    def files(self, run_id: str) -> dict[str, int]:
        """Size in bytes of each artifact at the top of a run's folder."""
        with verdicts():
            return {item.path: item.file_size or 0 for item in self._client.list_artifacts(run_id)}

    def steps(self, run_id: str, metric: str) -> set[int]:
        """The steps at which a run has a value of a metric."""
        with verdicts():
            return {point.step for point in self._client.get_metric_history(run_id, metric)}

    def fetch(self, run_id: str, name: str, folder: Path) -> Path:
        """Copy an artifact into a folder."""
        with verdicts():
            return Path(self._client.download_artifacts(run_id, name, str(folder)))

    def delete(self, run_id: str) -> None:
        """Put a run into MLflow's bin."""
        with verdicts():
            self._client.delete_run(run_id)

    def restore(self, run_id: str) -> None:
        """Take a run out of MLflow's bin."""
        with verdicts():
            self._client.restore_run(run_id)

    def nest(self, run_id: str, parent: str) -> None:
        """Put a run below another."""
        with verdicts():
            self._client.set_tag(run_id, PARENT_TAG, parent)


def _found(run: Run) -> FoundRun:
    tags = run.data.tags
    return FoundRun(
        run_id=run.info.run_id,
        key=tags[KEY_TAG],
        status=run.info.status,
        deleted=run.info.lifecycle_stage == "deleted",
        started=run.info.start_time or 0,
        parent=tags.get(PARENT_TAG),
        tags=tags,
        params=run.data.params,
        metrics=run.data.metrics,
    )


def _chunks(items: list[Item], size: int) -> Iterator[list[Item]]:
    return (items[first : first + size] for first in range(0, len(items), size))
