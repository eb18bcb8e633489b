"""A study's log: runs by key, curves, artifacts, and no outage that anybody has to wait for.

A `Tracker` spools every call on disk and returns; a thread delivers. MLflow is imported in that thread, when
the first event is delivered, so importing this module costs nothing.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path

from search.delivery import Courier
from search.links import run_url
from search.log_values import curve_points, param_texts, tag_texts
from search.mlflow_store.runs import Guard, MlflowSink
from search.run_ids import EXPERIMENT, RunIds
from search.spool import Event, SpoolFile
from search.tracking_uri import check_uri, without_password

STATUSES = ("FINISHED", "KILLED", "FAILED")


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
        guard: Makes what is held while the experiment or a run at its top is made, where processes of several
            homes log one study; those of one home share the spool folder, which keeps them apart.

    Raises:
        InputError: The tracking URI is none that is supported.
        OSError: The spool folder cannot be written.
    """

    def __init__(
        self,
        uri: str,
        artifacts: Path | None,
        spool: Path,
        experiment: str,
        study_id: str = "",
        guard: Guard = nullcontext,
    ) -> None:
        check_uri(uri)
        self._run_ids = RunIds(spool, uri, experiment)
        self._session = secrets.token_hex(8)
        sink = MlflowSink(
            uri, artifacts, experiment, self._run_ids, study_id or experiment, guard, self._session
        )
        self._courier = Courier(SpoolFile.create(spool), sink, f"MLflow at {without_password(uri)}")
        self._courier.start()

    def start_run(
        self,
        key: str,
        name: str,
        tags: Mapping[str, object],
        params: Mapping[str, object],
        parent: str | None = None,
        started: datetime | None = None,
        is_new: bool = False,
    ) -> None:
        """Open the run of `key`, nested in the run of `parent`; a run that exists goes on.

        Of a run that exists, tags are overwritten, and parameters, which MLflow never changes, are completed.
        `started` dates a run that is yet to be made; without it, it starts now. Where `is_new` says that
        nobody can have started it before, it need not be looked for: MLflow looks at all runs for that.
        """
        event = {"name": name, "tags": tag_texts(tags), "params": param_texts(params), "parent": parent}
        told = {"new": self._session} if is_new else {}
        self._log("start", key, {**event, **told, **_dated("started", started)})

    def log_params(self, key: str, params: Mapping[str, object]) -> None:
        """Add parameters; those that the run has already stay as they are, long values end in '…'."""
        self._log("params", key, {"params": param_texts(params)})

    def log_metrics(self, key: str, metrics: Mapping[str, float | None], step: int = 0) -> None:
        """Add one value of each metric at `step`; None, NaN and infinite values are left out."""
        self.log_curves(key, [metrics], step)

    def log_curves(self, key: str, epochs: Sequence[Mapping[str, float | None]], first: int = 1) -> None:
        """As `log_metrics` for several steps in a row, from the step `first` on, spooled in one go."""
        points = curve_points(epochs, int(first))
        events = [{"metrics": metrics, "step": step} for step, metrics in points.items()]
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
        self._log("tags", key, {"tags": tag_texts(tags)})

    def end_run(self, key: str, status: str, ended: datetime | None = None, if_any: bool = False) -> None:
        """End the run of `key` as FINISHED, KILLED (pruned) or FAILED.

        Args:
            key: The run.
            status: How it ended.
            ended: When; None for now.
            if_any: Whether it is right that there may be no such run.

        Raises:
            ValueError: Another status.
        """
        if status not in STATUSES:
            raise ValueError(f"a run must end as one of {', '.join(STATUSES)}, but got {status!r}")
        event = {"status": status, **_dated("ended", ended)}
        self._log("end", key, {**event, "if_any": True} if if_any else event)

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


def _dated(name: str, moment: datetime | None) -> dict[str, int]:
    """A moment as MLflow counts: milliseconds since 1970."""
    return {} if moment is None else {name: int(moment.timestamp() * 1000)}
