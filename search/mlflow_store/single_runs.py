"""Runs that stand for themselves below a study's: a model, a map. They are logged at once, not spooled."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from search.delivery import METRICS_AT_ONCE
from search.log_values import param_texts, tag_texts
from search.mlflow_store.connecting import verdicts
from search.mlflow_store.runs import KEY_TAG, PARAMS_AT_ONCE, PARENT_TAG, STUDY_TAG, MlflowSink
from search.run_ids import EXPERIMENT, RunIds

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

STUDY_KEY = "study"  # `search.publishing.STUDY`


@dataclass(frozen=True, eq=False)
class Place:
    """Where runs go.

    Attributes:
        uri: Tracking URI.
        artifacts: Folder for the artifacts of an experiment that is yet to be made; None: MLflow decides.
        experiment: Its name, the study's.
        run_ids: Where the runs of the experiment are noted.
        study_id: What marks the runs of the study in it; None where that is not known.
    """

    uri: str
    artifacts: Path | None
    experiment: str
    run_ids: RunIds
    study_id: str | None


class SingleRuns:
    """Makes runs in one experiment.

    Every method raises `Outage` where MLflow cannot be reached, `Rejected` where it refuses.

    Args:
        client: Of MLflow.
        place: Where the runs go; the experiment is made if it is missing.
    """

    def __init__(self, client: MlflowClient, place: Place) -> None:
        self._client, self._place = client, place
        MlflowSink(
            place.uri, place.artifacts, place.experiment, place.run_ids, place.study_id or place.experiment
        ).connect()
        self.experiment = str(place.run_ids.get(EXPERIMENT))

    def tagged(self, key: str, value: str) -> Run | None:
        """The latest run that has a tag."""
        with verdicts():
            runs = self._client.search_runs([self.experiment], f"tags.`{key}` = '{value}'", max_results=1)
        return runs[0] if runs else None

    def start(
        self,
        name: str,
        tags: Mapping[str, object],
        params: Mapping[str, object],
        metrics: Mapping[str, float],
    ) -> Run:
        """A new run below the study's own, where that is there."""
        from mlflow.entities import Metric, Param

        own = {"mlflow.source.name": "radsearch", "mlflow.source.type": "LOCAL"} | self._parent()
        now = time.time_ns() // 1_000_000
        values = [Metric(key, float(value), now, 0) for key, value in metrics.items()]
        texts = [Param(key, text) for key, text in param_texts(params).items()]
        with verdicts():
            run = self._client.create_run(self.experiment, tags=tag_texts(tags) | own, run_name=name)
            for start in range(0, len(texts), PARAMS_AT_ONCE):
                self._client.log_batch(run.info.run_id, params=texts[start : start + PARAMS_AT_ONCE])
            for start in range(0, len(values), METRICS_AT_ONCE):
                self._client.log_batch(run.info.run_id, metrics=values[start : start + METRICS_AT_ONCE])
        return run

    def add_files(self, run: Run, files: Mapping[str, Path]) -> None:
        """Add files to a run's artifacts under paths of their own, whatever they are called here."""
        with verdicts(), TemporaryDirectory() as folder:
            for number, (place, file) in enumerate(files.items()):
                link = Path(folder) / str(number) / Path(place).name
                link.parent.mkdir()
                link.symlink_to(file.absolute())
                parent = Path(place).parent.as_posix()
                self._client.log_artifact(run.info.run_id, str(link), None if parent == "." else parent)

    def finish(self, run: Run) -> str:
        """End a run well; its id."""
        with verdicts():
            self._client.set_terminated(run.info.run_id, "FINISHED")
        return str(run.info.run_id)

    def _parent(self) -> dict[str, str]:
        """The tag that puts a run below the study's."""
        if self._place.study_id is None:
            return {}
        with verdicts():
            runs = self._client.search_runs([self.experiment], f"tags.`{KEY_TAG}` = '{STUDY_KEY}'")
        own = [run for run in runs if run.data.tags.get(STUDY_TAG) == self._place.study_id]
        return {PARENT_TAG: own[0].info.run_id} if own else {}
