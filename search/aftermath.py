"""What a run does first where an earlier one was cut off: it brings the study's trackers in line again."""

from __future__ import annotations

import optuna

from data_prep.files import FULL
from search.doctor.checkup import Report
from search.doctor.examination import DoctorOptions, examine_study
from search.errors import StudyStoppedError
from search.home import Home
from search.progress import Listener
from search.spool import has_dead_writer

PATIENCE = 30.0  # seconds that a study waits for MLflow before its first trial


def mend_after_a_crash(
    study: optuna.Study, home: Home, storage: str | None, tracking: str | None, listener: Listener
) -> None:
    """Mend what disagrees between Optuna and MLflow, if a process that worked on the study died.

    A process that ends well takes its spool file away, so one without a living writer tells of a crash; or of
    an MLflow server that was away to the end. What takes longer than `PATIENCE` is left to the courier and to
    `radsearch doctor`.

    Args:
        study: The study, of which this process has not begun to log.
        home: Where its files lie.
        storage: URL of Optuna's storage; None for the journal in the home.
        tracking: MLflow's tracking URI; None for the database in the home.
        listener: Hears what was done.
    """
    if not has_dead_writer(home.study(study.study_name).spool):
        return
    listener.note("an earlier run was cut off: looking after what it left")
    report = Report(str(home.root), dry_run=False)
    try:
        examine_study(study, home, DoctorOptions(storage, tracking, patience=PATIENCE), report)
    except (StudyStoppedError, OSError) as error:
        if isinstance(error, OSError) and error.errno in FULL:
            raise
        listener.note(f"it could not be looked after: {error}. `radsearch doctor` tries again")
        return
    mended = sum(finding.mended for finding in report.findings)
    if mended:
        listener.note(f"{mended} things mended that it left behind")
    if mended < len(report.findings):
        listener.note("some of what it left could not be mended: `radsearch doctor` says what")
