"""Notes on the dashboard that a killed process did not come to write."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import optuna
from optuna.artifacts import get_all_artifact_meta
from optuna.trial import FrozenTrial

from search.booking import booked_settings, finished_folds, is_superseded, key_of
from search.dashboard import has_note, save_trial_note, trial_note
from search.facts import ending_of, message_of
from search.links import run_path
from search.publishing import ending_lines


def lost_notes(study: optuna.Study, busy: Collection[int]) -> list[FrozenTrial]:
    """The trials that ended for good and have no note; those of dead processes never get one.

    Args:
        study: The study.
        busy: Keys of trials that a process works on.
    """
    kept = study._storage.get_study_system_attrs(study._study_id)  # with every note, so read once
    return [
        trial
        for trial in study.get_trials(deepcopy=False)
        if trial.state.is_finished()
        and key_of(trial) not in busy
        and not is_superseded(trial)
        and booked_settings(trial) is not None
        and ending_of(trial).cause != "owner lost"
        and not has_note(kept, trial)
    ]


def write_note(study: optuna.Study, trial: FrozenTrial) -> None:
    """Write a trial's note as its process would have."""
    lines = ending_lines(ending_of(trial), message_of(trial), list(finished_folds(trial).values()))
    shown = {
        Path(meta.filename).stem.replace("_", " "): (
            f"/artifacts/{study._study_id}/{trial._trial_id}/{meta.artifact_id}"
        )
        for meta in get_all_artifact_meta(trial, storage=study._storage)
    }
    save_trial_note(study, trial, trial_note(lines, shown, run_path(study.study_name, key_of(trial))))
