from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import optuna
import optuna_dashboard
from optuna.artifacts import FileSystemArtifactStore
from optuna.trial import TrialState

from search.booking import book_fold, book_settings, requeue
from search.dashboard import attach_pictures
from search.doctor.lost_notes import lost_notes, write_note
from search.records import FoldResult


def ended(study: optuna.Study, cause: str = "complete") -> optuna.Trial:
    trial = study.ask()
    book_settings(trial, {"architecture": "constant"})
    trial.set_user_attr("ending", cause)
    study.tell(
        trial, 0.5 if cause == "complete" else None, state=None if cause == "complete" else TrialState.FAIL
    )
    return trial


def test_a_trial_that_ended_without_a_note_gets_one(
    empty_study: optuna.Study, make_fold: Callable[..., FoldResult], tmp_path: Path
) -> None:
    trial, picture = empty_study.ask(), tmp_path / "held_out.png"
    book_settings(trial, {"architecture": "constant"})
    book_fold(trial, make_fold(0))
    picture.write_bytes(b"png")
    store = FileSystemArtifactStore(tmp_path)
    shown = attach_pictures(empty_study, trial, store, {"Held-out biopsies": picture})
    trial.set_user_attr("ending", "complete")
    empty_study.tell(trial, 1.0)
    (lost,) = lost_notes(empty_study, ())
    write_note(empty_study, lost)
    assert lost_notes(empty_study, ()) == []
    note = optuna_dashboard.get_note(trial)
    assert "Ended: complete" in note
    assert "roc_auc **1.000**" in note
    assert f"![held out]({shown['Held-out biopsies']})" in note
    assert note.startswith("[Open this trial in MLflow](/mlflow/s/0)")


def test_no_other_trial_is_owed_one(empty_study: optuna.Study, tmp_path: Path) -> None:
    """Neither those that run, wait or will be taken up, nor those whose process died, nor those under way."""
    ended(empty_study, "owner lost")
    book_settings(empty_study.ask(), {})
    requeue(empty_study, empty_study.get_trials()[1], "child lost", tmp_path / "lock")
    book_settings(empty_study.ask(), {})
    assert lost_notes(empty_study, ()) == []
    ended(empty_study)
    number = len(empty_study.get_trials()) - 1
    assert [trial.number for trial in lost_notes(empty_study, ())] == [number]
    assert lost_notes(empty_study, [number]) == []
