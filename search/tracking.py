"""The door to MLflow: one experiment a study, nested runs by key, and no outage that anybody has to wait for.

A `Tracker` spools every call on disk and returns; a thread delivers. MLflow is imported in that thread, when
the first event is delivered, so importing this module costs nothing.
"""

from __future__ import annotations

import logging
import math
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from search.delivery import JOINED, METRICS_AT_ONCE, Courier, Outage, Rejected
from search.links import run_url
from search.run_ids import EXPERIMENT, RunIds
from search.spool import Event, SpoolFile
from search.tracking_uri import check_uri, without_password

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

logger = logging.getLogger(__name__)

Item = TypeVar("Item")

STATUSES = ("FINISHED", "KILLED", "FAILED")
KEY_TAG, STUDY_TAG, OPENED_TAG = "radsearch.key", "radsearch.study", "radsearch.opened"

# Limits of one MLflow request (mlflow/utils/validation.py).
PARAMS_AT_ONCE = TAGS_AT_ONCE = 100
PARAM_LENGTH = 6000
TAG_LENGTH = 8000

# Error codes by which MLflow says that the request itself is wrong.
AT_FAULT = {"INVALID_PARAMETER_VALUE", "BAD_REQUEST", "RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS"}

# The courier repeats by itself, so one request neither repeats nor waits for long.
SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


class Tracker:
    """Logs a study to MLflow from any thread; every method but `flush` and `close` returns at once.

    Runs are named by keys such as "study", "trial/3", "trial/3/fold/0": the same key is the same MLflow run
    in every process and after every restart. Events of one process arrive in order, at least once, and one
    that arrives twice changes nothing. A run that MLflow lacks (its start was refused, somebody deleted it)
    does not hold up the others: its events are kept in `rejected.jsonl` in the spool folder.

    Args:
        uri: Tracking URI: http(s), or sqlite (absolute path), postgresql, mysql.
        artifacts: Folder for the artifacts of an experiment that is yet to be made; None: MLflow decides.
        spool: The study's spool folder, shared by all its processes.
        experiment: Name of the experiment, the study's name.
        study_id: Tells the study from another of its name that logs to the same server from another home.

    Raises:
        InputError: The tracking URI is none that is supported.
        OSError: The spool folder cannot be written.
    """

    def __init__(
        self, uri: str, artifacts: Path | None, spool: Path, experiment: str, study_id: str = ""
    ) -> None:
        check_uri(uri)
        self._run_ids = RunIds(spool, uri, experiment)
        sink = MlflowSink(uri, artifacts, experiment, self._run_ids, study_id or experiment)
        self._courier = Courier(SpoolFile.create(spool), sink, f"MLflow at {without_password(uri)}")
        self._courier.start()

    def start_run(
        self,
        key: str,
        name: str,
        tags: Mapping[str, object],
        params: Mapping[str, object],
        parent: str | None = None,
    ) -> None:
        """Open the run of `key`, nested in the run of `parent`; a run that exists goes on.

        Of a run that exists, tags are overwritten, and parameters, which MLflow never changes, are completed.
        """
        event = {"name": name, "tags": _texts(tags, TAG_LENGTH), "params": _texts(params, PARAM_LENGTH)}
        self._log("start", key, {**event, "parent": parent})

    def log_params(self, key: str, params: Mapping[str, object]) -> None:
        """Add parameters; those that the run has already stay as they are, long values end in '…'."""
        self._log("params", key, {"params": _texts(params, PARAM_LENGTH)})

    def log_metrics(self, key: str, metrics: Mapping[str, float | None], step: int = 0) -> None:
        """Add one value of each metric at `step`; None, NaN and infinite values are left out."""
        self.log_curves(key, [metrics], step)

    def log_curves(self, key: str, epochs: Sequence[Mapping[str, float | None]], first: int = 1) -> None:
        """As `log_metrics` for several steps in a row, from the step `first` on, spooled in one go."""
        events = []
        for step, metrics in enumerate(epochs, start=int(first)):
            values = {name: float(value) for name, value in metrics.items() if value is not None}
            finite = {name: value for name, value in values.items() if math.isfinite(value)}
            if finite:
                events.append({"metrics": finite, "step": step})
        if events:
            self._log("metrics", key, *events)

    def log_artifact(self, key: str, path: Path, folder: str = "") -> None:
        """Add a file, which must stay where it is until it is delivered, to the artifacts' `folder`."""
        self._log("artifact", key, {"path": str(path.absolute()), "folder": folder})

    def log_text(self, key: str, text: str, name: str) -> None:
        """Add a text as the artifact `name`; the text itself is spooled."""
        self._log("text", key, {"text": text, "name": name})

    def set_tags(self, key: str, tags: Mapping[str, object]) -> None:
        """Set tags; long values end in '…'."""
        self._log("tags", key, {"tags": _texts(tags, TAG_LENGTH)})

    def end_run(self, key: str, status: str) -> None:
        """End the run of `key` as FINISHED, KILLED (pruned) or FAILED.

        Raises:
            ValueError: Another status.
        """
        if status not in STATUSES:
            raise ValueError(f"a run must end as one of {', '.join(STATUSES)}, but got {status!r}")
        self._log("end", key, {"status": status})

    def run_id(self, key: str) -> str | None:
        """The MLflow run of `key`, None until its start was delivered."""
        return self._run_ids.get(key)

    def run_url(self, key: str, base: str) -> str | None:
        """Page of the run in the MLflow UI at address `base`, None until its start was delivered."""
        run, experiment = self.run_id(key), self.experiment_id()
        return run_url(base, experiment, run) if run and experiment else None

    def experiment_id(self) -> str | None:
        """The MLflow experiment, None until the first delivery."""
        return self._run_ids.get(EXPERIMENT)

    def flush(self, timeout: float) -> int:
        """Wait at most `timeout` seconds for delivery; returns the number of events still undelivered."""
        return self._courier.flush(timeout)

    @property
    def is_cut_off(self) -> bool:
        """Whether MLflow did not answer when it was last tried."""
        return self._courier.is_cut_off

    def close(self, timeout: float) -> int:
        """As `flush`, and end; what is left stays in the spool folder, for the next tracker to deliver."""
        return self._courier.stop(timeout)

    def _log(self, op: str, key: str, *contents: Event) -> None:
        if not re.fullmatch(r"[\w./-]+", key):
            raise ValueError(f"a key must consist of letters, digits and ._/-, but got {key!r}")
        head = {"op": op, "key": key, "time": time.time_ns() // 1_000_000}
        self._courier.append(*({**head, **content} for content in contents))


class MlflowSink:
    """Turns events into MLflow requests; every one of them may safely be made twice.

    Args:
        uri: Tracking URI.
        artifacts: As in `Tracker`.
        experiment: Name of the experiment: made if it is missing, restored if it was deleted.
        run_ids: Where the runs of this experiment are noted.
        study_id: What marks the runs of this study among others in the experiment.
    """

    def __init__(
        self, uri: str, artifacts: Path | None, experiment: str, run_ids: RunIds, study_id: str
    ) -> None:
        self._uri = uri
        self._artifacts = artifacts
        self._experiment = experiment
        self._study_id = study_id
        self._run_ids = run_ids
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
        with _verdicts():
            if op in JOINED:
                self._batch(client, events)
            else:
                self._handlers[op](client, events[0])

    def _connection(self) -> tuple[MlflowClient, str]:
        if self._connected is None:
            _prepare()
            from mlflow import MlflowClient

            try:
                with _verdicts():
                    client = MlflowClient(self._uri, registry_uri=self._uri)
                    experiment = self._open_experiment(client)
            except Rejected as verdict:
                raise Outage(str(verdict)) from verdict
            self._connected = client, experiment
        return self._connected

    def _open_experiment(self, client: MlflowClient) -> str:
        with self._run_ids.locked() as note:
            found = client.get_experiment_by_name(self._experiment)
            if found is None:
                location = self._artifacts.absolute().as_uri() if self._artifacts else None
                # The kind chooses the UI's view: runs and models rather than traces of a language model.
                tags = {"mlflow.experimentKind": "custom_model_development"}
                identifier = str(client.create_experiment(self._experiment, location, tags))
            else:
                identifier = str(found.experiment_id)
                if found.lifecycle_stage == "deleted":
                    client.restore_experiment(identifier)
            note(EXPERIMENT, identifier)
        return identifier

    def _start(self, client: MlflowClient, event: Event) -> None:
        key, opened = event["key"], {OPENED_TAG: str(event["time"])}
        with self._run_ids.locked() as note:
            run = self._find(client, key)
            if run is None:
                run = self._create(client, event, opened)
            elif self._is_news(run, event):
                client.update_run(run.info.run_id, status="RUNNING", name=event["name"])
                self._tag(client, run.info.run_id, event["tags"] | opened)
            note(key, run.info.run_id)
        self._complete(client, run, event["params"])

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
                tags["mlflow.parentRunId"] = parent
        _, experiment = self._connection()
        return client.create_run(experiment, event["time"], tags, event["name"])

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
        run = self._run(client, event)
        if event["time"] >= int(run.data.tags.get(OPENED_TAG, 0)):
            client.set_terminated(run.info.run_id, event["status"], event["time"])

    @staticmethod
    def _is_news(run: Run, event: Event) -> bool:
        """Whether the run was neither opened nor ended later than the event, say by another process."""
        opened = int(run.data.tags.get(OPENED_TAG, 0))
        return bool(event["time"] >= max(opened, run.info.end_time or 0))


def _prepare() -> None:
    """Settings that MLflow reads from the environment, and silence: the courier reports what matters."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    import mlflow  # noqa: F401 - it sets the levels of its loggers when it is imported

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


@contextmanager
def _verdicts() -> Iterator[None]:
    """Translate errors into `Rejected` (the event is at fault) and `Outage` (anything else)."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

    try:
        yield
    except MlflowException as error:
        cause = error.__cause__
        broken = isinstance(cause, SQLAlchemyError) and not isinstance(cause, DataError | IntegrityError)
        if error.error_code in AT_FAULT and not broken:
            raise Rejected(_line(error)) from error
        raise Outage(_line(error)) from error
    except (SQLAlchemyError, OSError) as error:
        raise Outage(_line(error)) from error
    except (KeyError, TypeError, ValueError) as error:
        raise Rejected(f"{type(error).__name__}: {_line(error)}") from error


def _line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else f"{text[:199]}…"


def _texts(values: Mapping[str, object], limit: int) -> dict[str, str]:
    texts = {name: str(value) for name, value in values.items()}
    return {name: text if len(text) <= limit else f"{text[: limit - 1]}…" for name, text in texts.items()}


def _chunks(items: list[Item], size: int) -> Iterator[list[Item]]:
    return (items[first : first + size] for first in range(0, len(items), size))
