from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState

from search.home import Home
from search.owner import Owner
from search.results import study_record

KEYS = {"study", "home", "cohort", "folds", "trials", "best_trial", "selected", "honest"}
TRIAL_KEYS = {
    "number",
    "state",
    "params",
    "value",
    "metrics",
    "fold_metrics",
    "folds_done",
    "seconds",
    "parameters",
    "trainable_parameters",
    "dead_parameters",
    "mlflow_run_id",
    "retry_of",
    "error",
}


def test_the_record_has_the_keys_that_other_programs_rely_on(finished: Any) -> None:
    record = study_record(finished.outcome.study, finished.home)
    assert set(record) >= KEYS
    assert all(set(trial) >= TRIAL_KEYS for trial in record["trials"])
    assert json.loads(json.dumps(record, allow_nan=False)) == record


def test_cohort_and_folds_are_described(finished: Any) -> None:
    record = study_record(finished.outcome.study, finished.home)
    assert record["cohort"]["name"] == "toy"
    assert (record["cohort"]["participants"], record["cohort"]["biopsies"]) == (12, 36)
    assert record["cohort"]["positive"] == 18
    assert (record["folds"]["n"], record["folds"]["repeats"], len(record["folds"]["hash"])) == (3, 1, 64)


def test_the_best_trial_is_the_one_of_the_largest_value(finished: Any) -> None:
    record = study_record(finished.outcome.study, finished.home)
    values = {trial["number"]: trial["value"] for trial in record["trials"]}
    assert values[record["best_trial"]] == max(values.values())
    assert record["honest"]["naive"] == max(values.values())


def test_an_estimate_that_was_not_asked_for_is_null_and_not_the_naive_one(finished: Any) -> None:
    honest = study_record(finished.outcome.study, finished.home, judged=False)["honest"]
    assert honest["estimate"] is None
    assert honest["ci95"] == [None, None]
    assert honest["naive"] is not None


def test_the_honest_estimate_stands_beside_the_naive_one(finished: Any) -> None:
    record = study_record(finished.outcome.study, finished.home)
    honest, complete = record["honest"], [trial["number"] for trial in record["trials"]]
    assert set(record["selected"]["trials"]) <= set(complete)
    assert record["selected"]["rule"] == "rank-average"
    low, high = honest["ci95"]
    assert low <= honest["estimate"] <= high
    assert honest["configurations"] == len(complete)
    assert honest["tuned_minus_default"]["default_trial"] == 0


def test_each_trial_names_its_mlflow_run(finished: Any) -> None:
    runs = [trial["mlflow_run_id"] for trial in study_record(finished.outcome.study, finished.home)["trials"]]
    assert all(runs)
    assert len(set(runs)) == len(runs)


def test_costs_and_sizes_are_those_of_the_folds(finished: Any) -> None:
    trial = study_record(finished.outcome.study, finished.home)["trials"][0]
    assert 10_000 <= trial["trainable_parameters"] <= trial["parameters"] <= 60_000
    assert trial["seconds"] > 0


def a_study(empty_study: optuna.Study) -> optuna.Study:
    empty_study.set_user_attr("metric", "roc_auc")
    return empty_study


def test_how_each_trial_ended_is_told(empty_study: optuna.Study, tmp_path: Path) -> None:
    study = a_study(empty_study)
    for ending, state in (("complete", "COMPLETE"), ("out of memory", "PRUNED"), ("child lost", "FAIL")):
        trial = study.ask()
        trial.set_user_attr("ending", ending)
        study.tell(trial, 0.5 if state == "COMPLETE" else None, state=TrialState[state])
    study.tell(study.ask(), state=TrialState.PRUNED)  # by a version that did not tell
    for owner in (Owner.of(), dataclasses.replace(Owner.of(), start=1)):
        study.ask().set_user_attr("owner", str(owner))
    trials = study_record(study, Home.at(tmp_path))["trials"]
    assert [(trial["state"], trial["ending"]) for trial in trials] == [
        ("COMPLETE", "complete"),
        ("PRUNED", "out of memory"),
        ("FAIL", "child lost"),
        ("PRUNED", "pruned"),
        ("RUNNING", None),
        ("RUNNING", "owner lost"),
    ]
