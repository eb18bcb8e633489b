"""What optuna-dashboard shows of a trial, and the dashboard itself."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

import optuna_dashboard
from optuna.artifacts import FileSystemArtifactStore, get_all_artifact_meta, upload_artifact

from data_prep.files import whole_file
from mlflow_server.access import LOOPBACK_ONLY, Access
from search.links import run_url
from search.read_only import ReadOnly, answer

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from optuna import Study
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial, Trial

# The names that a study file allows, none of which leads out of a folder.
RUN_PATH = re.compile(r"/mlflow/([A-Za-z0-9][A-Za-z0-9._-]*)/([0-9]{1,9})")

# From a study's name and a trial's key to the ids of its experiment and its run, None while MLflow has none.
FindRun: TypeAlias = Callable[[str, int], tuple[str, str] | None]


class WholeFileStore(FileSystemArtifactStore):
    """Optuna's store in a folder, but that a file is there whole or not at all."""

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        """Keep what can be read from `content_body` under a name, in place of what was there."""
        with whole_file(self._get_filepath(artifact_id)) as draft, draft.open("wb") as stream:
            shutil.copyfileobj(content_body, stream)


def artifact_store(folder: Path) -> FileSystemArtifactStore:
    """The store of the dashboard's pictures; its folder is made."""
    folder.mkdir(parents=True, exist_ok=True)
    return WholeFileStore(folder)


def attach_pictures(
    study: Study, trial: Trial | FrozenTrial, store: FileSystemArtifactStore, paths: Mapping[str, Path]
) -> dict[str, str]:
    """Attach files to a trial, before it is told: a finished trial takes none.

    A file of a name that the trial already holds replaces it: a resumed trial shows each picture once.

    Args:
        study: The study of the trial.
        trial: A running trial.
        store: Where the dashboard looks for them.
        paths: Caption to file.

    Returns:
        Caption to the path of the picture on the dashboard, for `trial_note`.

    Raises:
        optuna.exceptions.UpdateFinishedTrialError: The trial was told already.
    """
    storage = study._storage
    held = {meta.filename: meta.artifact_id for meta in get_all_artifact_meta(trial, storage=storage)}
    pictures = {}
    for caption, path in paths.items():
        if path.name in held:
            artifact_id = held[path.name]
            with path.open("rb") as stream:
                store.write(artifact_id, stream)
        else:
            artifact_id = upload_artifact(
                artifact_store=store, file_path=str(path), study_or_trial=trial, storage=storage
            )
        pictures[caption] = f"/artifacts/{study._study_id}/{trial._trial_id}/{artifact_id}"
    return pictures


def trial_note(lines: Sequence[str], pictures: Mapping[str, str], link: str) -> str:
    """The Markdown of a trial's note: the link to its MLflow run, some lines, the pictures.

    Args:
        lines: Paragraphs in Markdown.
        pictures: Caption to path on the dashboard, as `attach_pictures` gave them.
        link: From `search.links.run_path`.
    """
    # Two in a paragraph: they stand side by side, and a third would make the page wider than the window.
    shown = [f"![{caption}]({path})" for caption, path in pictures.items()]
    rows = [" ".join(shown[first : first + 2]) for first in range(0, len(shown), 2)]
    return "\n\n".join([f"[Open this trial in MLflow]({link})", *lines, *rows])


def save_trial_note(study: Study, trial: Trial | FrozenTrial, text: str, is_first: bool = False) -> None:
    """Set a trial's note, in Markdown, in place of the one before; a finished trial takes one too.

    Args:
        study: The study of the trial.
        trial: The trial.
        text: The note.
        is_first: Whether the trial is known to have none yet. Notes are kept with the study, all in one, so
            that asking whether there is one reads those of all trials.
    """
    storage = study._storage
    written = SimpleNamespace(
        set_study_system_attr=storage.set_study_system_attr, get_study_system_attrs=lambda study_id: {}
    )
    # `save_note` asks a trial for these three, and a frozen trial has but one.
    target = SimpleNamespace(storage=written if is_first else storage, study=study, _trial_id=trial._trial_id)
    optuna_dashboard.save_note(target, text)


def has_note(attributes: Mapping[str, Any], trial: FrozenTrial) -> bool:
    """Whether a trial has a note, as `optuna_dashboard.save_note` keeps it among its study's attributes.

    Args:
        attributes: The study's system attributes, with the notes of all trials.
        trial: The trial.
    """
    return bool(attributes.get(f"dashboard:{trial._trial_id}:note_str:0"))


class RunRedirect:
    """Sends /mlflow/STUDY/TRIAL, the link of a note, to that trial's run and passes everything else on.

    Args:
        app: The application behind it.
        mlflow_url: Address of the MLflow UI.
        find_run: Looks the run up.
    """

    def __init__(self, app: WSGIApplication, mlflow_url: str, find_run: FindRun) -> None:
        self._app = app
        self._mlflow_url = mlflow_url
        self._find_run = find_run

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        match = RUN_PATH.fullmatch(environ.get("PATH_INFO", ""))
        if match is None:
            return self._app(environ, start_response)
        run = self._find_run(match[1], int(match[2]))
        if run is None:
            return answer(start_response, "404 Not Found", "MLflow has no run of this trial yet.")
        start_response("302 Found", [("Location", run_url(self._mlflow_url, *run)), ("Content-Length", "0")])
        return []


def make_app(
    storage: BaseStorage,
    artifact_folder: Path,
    mlflow_url: str,
    find_run: FindRun,
    access: Access = LOOPBACK_ONLY,
) -> ReadOnly:
    """The dashboard over one storage, read-only, its notes' links leading to runs in MLflow.

    Args:
        storage: Optuna's.
        artifact_folder: The pictures.
        mlflow_url: Address of the MLflow UI.
        find_run: From a study's name and a trial's key to experiment id and run id.
        access: The host names that it answers to, and the account that it asks for.
    """
    dashboard = optuna_dashboard.wsgi(storage, artifact_store=artifact_store(artifact_folder))
    return ReadOnly(RunRedirect(dashboard, mlflow_url, find_run), access)
