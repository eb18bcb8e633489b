"""The report handed on: to MLflow as artifacts of the study's run, its key figures to optuna-dashboard."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import optuna
import optuna_dashboard
from optuna.artifacts import get_all_artifact_meta, upload_artifact

from data_prep.files import whole_file
from search.dashboard import artifact_store
from search.home import Home, StudyFolder
from search.opening import study_id
from search.publishing import STUDY
from search.tracked import artifacts_of, tracking_of
from search.tracking import Tracker

PICTURE = ".png"
FOLDER = "report"  # in the study's folder, and among the artifacts of its run
DELIVERY_SECONDS, HURRIED_SECONDS = 60.0, 5.0  # how long MLflow is waited for; the same while it is away
MARK = (
    "[//]: # (radsearch report)"  # what follows in a study's note is ours, what stands before is its user's
)


def keep(files: Mapping[str, Path], folder: StudyFolder) -> dict[str, Path]:
    """Copy what is handed on into the study's folder, from where it is delivered in its time.

    Args:
        files: Of `search.report.output.write_report`; "tables/NAME" goes to a folder of tables.
        folder: Of the study.

    Returns:
        The copies by name, the page first.
    """
    kept = {}
    for name, path in files.items():
        copy = folder.root / _place(name) / path.name
        with whole_file(copy) as draft:
            shutil.copyfile(path, draft)
        kept[name] = copy
    return kept


def log_report(study: optuna.Study, kept: Mapping[str, Path], home: Home, tracking: str | None) -> int:
    """Log the page, the key figures and the tables as artifacts of the study's run; an outage is no error.

    Args:
        study: The study in Optuna.
        kept: Of `keep`.
        home: Where it lives.
        tracking: MLflow's tracking URI; None for where the study was opened.

    Returns:
        How many events wait in the home for the next run, or for `radsearch doctor`.

    Raises:
        InputError: Where the study was opened cannot be reached from here.
    """
    uri, name = tracking_of(study, tracking, home), study.study_name
    artifacts = artifacts_of(study, uri, home)
    tracker = Tracker(uri, artifacts, home.study(name).spool, name, study_id(study))
    try:
        for name, path in kept.items():
            tracker.log_artifact(STUDY, path, _place(name))
        return _delivered(tracker)
    finally:
        tracker.close(0)


def show_on_dashboard(
    study: optuna.Study, kept: Mapping[str, Path], home: Home, lines: tuple[str, ...]
) -> None:
    """Show the key figures and a note with the study, in place of those of an earlier report.

    Args:
        study: The study in Optuna, open for writing.
        kept: Of `keep`; the figures are shown.
        home: Where the dashboard looks for artifacts.
        lines: Paragraphs of the note, in Markdown.
    """
    store = artifact_store(home.artifacts)
    held = {meta.filename: meta.artifact_id for meta in get_all_artifact_meta(study)}
    shown = []
    for name, path in kept.items():
        if path.suffix != PICTURE:
            continue
        artifact = held.get(path.name)
        if artifact is None:
            artifact = upload_artifact(artifact_store=store, file_path=str(path), study_or_trial=study)
        else:
            with path.open("rb") as stream:
                store.write(artifact, stream)
        shown.append(f"![{name}](/artifacts/{study._study_id}/{artifact})")
    note = note_with(str(optuna_dashboard.get_note(study) or ""), "\n\n".join((*lines, *shown)))
    optuna_dashboard.save_note(study, note)


def note_with(before: str, report: str) -> str:
    """A study's note with the report's part renewed; what its user wrote above stays.

    >>> note_with("Mine.", "New.") == note_with(note_with("Mine.", "Old."), "New.")
    True
    """
    own = before.partition(MARK)[0].rstrip()
    return "\n\n".join(part for part in (own, MARK, report) if part)


def plain(text: str) -> str:
    r"""Text that Markdown shows as it is.

    >>> print(plain("a_b *c* <d>"))
    a\_b \*c\* \<d\>
    """
    return "".join(f"\\{sign}" if sign in "\\`*_{}[]<>#|!" else sign for sign in text)


def _place(name: str) -> str:
    """The folder of something that is handed on.

    >>> _place("page"), _place("tables/cost")
    ('report', 'report/tables')
    """
    return str((PurePosixPath(FOLDER) / name).parent)


def _delivered(tracker: Tracker) -> int:
    """Wait while MLflow takes what is spooled; returns how much is left."""
    started = time.monotonic()
    while left := tracker.flush(0.5):
        waited = time.monotonic() - started
        if waited > (HURRIED_SECONDS if tracker.is_cut_off else DELIVERY_SECONDS):
            break
    return left
