"""Registered models: a model folder put there with its run, and fetched again.

Nothing hangs on MLflow's global tracking URI. What was cut off is taken up again: a folder is known by the
hash of its `model.json`, with which its run, its logged model and its version are tagged.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from search.delivery import Rejected
from search.log_values import tag_texts
from search.mlflow_store.connecting import client_at, connecting, verdicts
from search.mlflow_store.deployed import Deployed, save
from search.mlflow_store.single_runs import Place, SingleRuns

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel, Run
    from mlflow.entities.model_registry import ModelVersion

Progress = Callable[[int, int], None]

CHAMPION = "champion"
HASH_TAG = "radsearch.model"

_LOGGING = ".logging-"  # begins the name of a folder that is being uploaded
_ABANDONED = 24 * 3600.0  # seconds after which nobody uploads it any more

LONGEST_TEXT = 5000  # of a description, and of a logged model's params (mlflow/store/*/dbmodels/models.py)


@dataclass(frozen=True)
class Version:
    """A version of a registered model.

    Attributes:
        name: Of the model.
        number: Of the version, from 1 on.
        run_id: The run that it was logged by.
        source: Where its files are.
        digest: sha256 of its `model.json`; None of a model that is not ours.
    """

    name: str
    number: int
    run_id: str
    source: str
    digest: str | None


class MlflowModels:
    """The registered models of one MLflow.

    Every method raises `Outage` where MLflow cannot be reached, `Rejected` where it refuses.

    Args:
        uri: Tracking URI.
    """

    def __init__(self, uri: str) -> None:
        self._uri = uri
        with connecting():
            self._client = client_at(uri)

    def register(
        self, name: str, model: Deployed, run_name: str, place: Place, progress: Progress | None = None
    ) -> Version:
        """Log a model folder in a run of its own, register it, and give it the alias `CHAMPION`.

        A folder that is registered under the name already gets no second version.

        Args:
            name: Of the registered model.
            model: The folder, and what is shown of it.
            run_name: What to call the run.
            place: Where the run goes.
            progress: Called with files done and in all while they are uploaded.
        """
        with verdicts():
            version = self._registered(name, model.digest)
            if version is None:
                version = self._log(name, model, run_name, place, progress)
            self._client.set_registered_model_alias(name, CHAMPION, str(version.version))
        return _version(version)

    def find(self, name: str, wanted: str) -> Version | None:
        """A version; None where there is none.

        Args:
            name: Of the registered model.
            wanted: Its number, or "@" and an alias.
        """
        try:
            with verdicts():
                if wanted.startswith("@"):
                    return _version(self._client.get_model_version_by_alias(name, wanted[1:]))
                return _version(self._client.get_model_version(name, wanted))
        except Rejected:
            return None

    def known(self) -> list[str]:
        """What `find` finds, as MLflow writes it: "models:/NAME@champion", "models:/NAME/1"."""
        with verdicts():
            found = []
            for model in self._client.search_registered_models(max_results=1000):
                versions = self._client.search_model_versions(f"name = '{model.name}'")
                found += [f"models:/{model.name}@{alias}" for alias in sorted(model.aliases)]
                found += [f"models:/{model.name}/{one.version}" for one in versions]
        return found

    def fetch(self, version: Version, folder: Path) -> Path:
        """Download a model folder.

        Args:
            version: As `find` gave it.
            folder: Where to; it exists.

        Returns:
            The model folder, below `folder`.
        """
        from mlflow.artifacts import download_artifacts

        with verdicts():
            download_artifacts(
                f"{version.source.rstrip('/')}/data", dst_path=str(folder), tracking_uri=self._uri
            )
        found = sorted(folder.glob("data/*/model.json"))
        if len(found) != 1:
            raise Rejected(f"a model that `radsearch refit` registered is needed, but {version.name} is none")
        return found[0].parent

    def _registered(self, name: str, digest: str) -> ModelVersion | None:
        versions = self._client.search_model_versions(f"name = '{name}'")
        return next((one for one in versions if one.tags.get(HASH_TAG) == digest), None)

    def _log(
        self, name: str, model: Deployed, run_name: str, place: Place, progress: Progress | None
    ) -> ModelVersion:
        runs = SingleRuns(self._client, place)
        run = runs.tagged(HASH_TAG, model.digest)
        if run is None:
            run = runs.start(run_name, {**model.tags, HASH_TAG: model.digest}, model.params, model.metrics)
        logged = self._logged(run, name, model, progress)
        version = self._new_version(name, model, run, logged)
        runs.finish(run)
        return version

    def _logged(self, run: Run, name: str, model: Deployed, progress: Progress | None) -> LoggedModel:
        """The model of a run with all its files: what an earlier attempt finished, or a new one."""
        from mlflow.entities import LoggedModelOutput, LoggedModelStatus

        experiment, run_id = run.info.experiment_id, run.info.run_id
        for one in self._client.search_logged_models([experiment], f"source_run_id = '{run_id}'"):
            if one.status == LoggedModelStatus.READY:
                return one
            self._client.delete_logged_model(one.model_id)
        params = {key: text[:LONGEST_TEXT] for key, text in model.params.items()}
        logged = self._client.create_logged_model(experiment, name, run_id, _tags(model), params)
        self._upload(run, logged, model, progress)
        self._client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
        return self._client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)

    def _upload(self, run: Run, logged: LoggedModel, model: Deployed, progress: Progress | None) -> None:
        from mlflow.models import Model

        record = Model(
            artifact_path=logged.artifact_location,
            run_id=run.info.run_id,
            model_uuid=logged.model_id,
            model_id=logged.model_id,
        )
        _sweep(model.folder.parent)
        with TemporaryDirectory(dir=model.folder.parent, prefix=_LOGGING) as folder:
            whole = Path(folder) / "model"
            save(model, whole, record)
            files = sorted(path for path in whole.rglob("*") if path.is_file())
            for done, path in enumerate(files, start=1):
                parent = path.relative_to(whole).parent.as_posix()
                self._client.log_model_artifact(logged.model_id, str(path), "" if parent == "." else parent)
                if progress is not None:
                    progress(done, len(files))

    def _new_version(self, name: str, model: Deployed, run: Run, logged: LoggedModel) -> ModelVersion:
        from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS

        if not self._client.search_registered_models(f"name = '{name}'"):
            self._client.create_registered_model(name)
        version = self._client.create_model_version(
            name,
            logged.artifact_location,  # of "models:/ID" the store asks the global tracking URI
            run.info.run_id,
            _tags(model),
            description=model.description[:LONGEST_TEXT],
            model_id=logged.model_id,
        )
        link = json.dumps([{"name": name, "version": int(version.version)}])
        self._client.set_logged_model_tags(logged.model_id, {MLFLOW_MODEL_VERSIONS: link})
        return version


def _sweep(folder: Path) -> None:
    """Remove what uploads left that were killed; younger ones may be at work."""
    for path in folder.glob(f"{_LOGGING}*"):
        with suppress(FileNotFoundError):  # an upload that has just ended
            if time.time() - path.lstat().st_mtime > _ABANDONED:
                shutil.rmtree(path, ignore_errors=True)


def _tags(model: Deployed) -> dict[str, str]:
    return {
        key: text[:LONGEST_TEXT] for key, text in tag_texts({**model.tags, HASH_TAG: model.digest}).items()
    }


def _version(found: ModelVersion) -> Version:
    return Version(
        found.name, int(found.version), str(found.run_id), str(found.source), found.tags.get(HASH_TAG)
    )
