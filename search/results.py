"""What a study has found, as the record that `radsearch show --json` prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from search.beside import complete_cases, further_labels
from search.booking import finished_folds, is_orphan, is_superseded, key_of, settings_of
from search.home import Home
from search.judgement import UNJUDGED, judgement
from search.metrics import DIRECTIONS, fold_metrics, pooled_metrics
from search.publishing import trial_key
from search.records import FoldResult
from search.run_ids import RunIds


def study_record(
    study: optuna.Study, home: Home, tracking: str | None = None, judged: bool = True
) -> dict[str, Any]:
    """Everything known of a study, keys as the project's design fixes them.

    Args:
        study: The study.
        home: Where it lives.
        tracking: MLflow's tracking URI; None for the database in the home.
        judged: Whether to estimate how good the selected trials are; `honest.naive`, the best trial's own
            value and too good by the search's optimism, is there in any case.
    """
    selected, honest = judgement(study, home) if judged else ({"rule": None, "trials": []}, UNJUDGED)
    attrs = study.user_attrs
    run_ids = RunIds(home.study(study.study_name).spool, tracking or home.tracking_uri, study.study_name)
    trials = study.get_trials(deepcopy=False)
    best, complete = _best(study, trials), (attrs.get("cohort") or {}).get("complete")
    return {
        "study": study.study_name,
        "home": str(home.root),
        "cohort": attrs.get("cohort"),
        "folds": attrs.get("folds"),
        "trials": [_trial_record(trial, run_ids, complete) for trial in trials if not is_superseded(trial)],
        "best_trial": best.number if best else None,
        "space_changes": attrs.get("space_changes", []),
        "selected": selected,
        "honest": {"metric": attrs.get("metric"), **honest, "naive": best.value if best else None},
    }


def _best(study: optuna.Study, trials: list[FrozenTrial]) -> FrozenTrial | None:
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE and trial.value is not None]
    sign = 1 if DIRECTIONS[study.user_attrs["metric"]] == "maximize" else -1
    return max(complete, key=lambda trial: sign * float(trial.value or 0.0), default=None)


def _trial_record(trial: FrozenTrial, run_ids: RunIds, complete: Sequence[int] | None) -> dict[str, Any]:
    folds = list(finished_folds(trial).values())
    return {
        "number": trial.number,
        "state": trial.state.name,
        "params": settings_of(trial),
        "value": trial.value if trial.state == TrialState.COMPLETE else None,
        "metrics": pooled_metrics([fold.scores for fold in folds]),
        "fold_metrics": [fold_metrics(fold.scores) for fold in folds],
        "complete_cases": complete_cases(folds, complete),
        "further_labels": further_labels(folds),
        "folds_done": len(folds),
        "seconds": sum(fold.seconds for fold in folds),
        "parameters": _of_first(folds, "parameters"),
        "trainable_parameters": _of_first(folds, "trainable_parameters"),
        "dead_parameters": _of_first(folds, "dead_parameters"),
        "mlflow_run_id": run_ids.get(trial_key(key_of(trial))),
        "retry_of": trial.user_attrs.get("retry_of"),
        "ending": _ending(trial),
        "error": trial.user_attrs.get("error"),
    }


def _ending(trial: FrozenTrial) -> str | None:
    """Why the trial ended, a key of `search.endings.ENDINGS`; None while it has not.

    A trial that still counts as running and whose process is dead is "owner lost": the next run takes it up.

    Trials older than the record of it have none; their state tells two of the causes.
    """
    if not trial.state.is_finished():
        return "owner lost" if trial.state == TrialState.RUNNING and is_orphan(trial) else None
    told = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned"}.get(trial.state, "failed")
    ending: str = trial.user_attrs.get("ending", told)
    return ending


def _of_first(folds: list[FoldResult], name: str) -> int | None:
    return getattr(folds[0], name) if folds else None
