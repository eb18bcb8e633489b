from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from mlflow import MlflowClient
from optuna.trial import TrialState

from search.booking import book_fold, book_settings, requeue
from search.doctor.expected import Records, attempts_by_key, has_run
from search.doctor.lost_trials import rehearsal
from search.facts import StudyFacts
from search.records import FoldResult


@pytest.fixture
def records(finished: Any) -> Records:
    study = finished.outcome.study
    names = StudyFacts.of(study).pseudonyms
    return Records(study, finished.study, names, finished.home.study("toy"))


def test_the_runs_of_a_sound_study_are_those_that_mlflow_holds(records: Records, finished: Any) -> None:
    """The record in Optuna is enough to say every run's parameters, metrics, artifacts and place."""
    client = MlflowClient(finished.home.tracking_uri)
    experiment = client.get_experiment_by_name("toy")
    found = {run.data.tags["radsearch.key"]: run for run in client.search_runs([experiment.experiment_id])}
    expected = records.runs(busy=(), with_study=True)
    assert expected.keys() == found.keys()
    for key, record in expected.items():
        run = found[key]
        assert (record.name, record.status) == (run.info.run_name, run.info.status)
        assert record.params == run.data.params
        assert record.tags.items() <= run.data.tags.items()
        assert {name: curve[max(curve)] for name, curve in record.points.items()} == run.data.metrics
        held = {item.path for item in client.list_artifacts(run.info.run_id)}
        assert {*record.texts, *record.files} == held - {"study.toml"}
        assert (found[record.parent].info.run_id if record.parent else None) == run.data.tags.get(
            "mlflow.parentRunId"
        )


def test_trials_under_way_and_a_living_study_are_left_out(records: Records) -> None:
    runs = records.runs(busy=[1], with_study=False)
    assert runs.keys() == {"trial/0", *(f"trial/0/fold/{split}" for split in range(3))}


def test_folds_are_dated_one_after_the_other_within_their_trial(records: Records) -> None:
    runs = records.runs(busy=(), with_study=True)
    moments = [runs["trial/0"].started]
    for split in range(3):
        fold = runs[f"trial/0/fold/{split}"]
        assert fold.started == moments[-1]
        moments.append(fold.ended)
    told = [moment for moment in moments if moment is not None]
    assert told == sorted(told)
    assert len(told) == 4
    assert runs["study"].started == runs["trial/0"].started


def test_a_trial_that_waits_again_has_the_run_of_its_last_attempt(
    records: Records, make_fold: Callable[..., FoldResult], tmp_path: Path
) -> None:
    with rehearsal(records.study) as (study, lock):
        trial = study.ask()
        trial.set_user_attr("place", trial.number)
        book_settings(trial, {"architecture": "small_cnn"})
        book_fold(trial, make_fold(0, rows=tuple(range(16)), participants=(0,) * 16))
        requeue(study, study.get_trials()[2], "interrupted", lock)
        runs = Records(study, records.definition, records.names, records.folder).runs((), True)
    assert (runs["trial/2"].status, runs["trial/2"].tags["ending"]) == ("KILLED", "interrupted")
    assert (runs["trial/2"].points, runs["trial/2"].texts, runs["trial/2"].files) == ({}, {}, {})
    assert runs["trial/2/fold/0"].status == "FINISHED"
    assert {"trial/2/fold/1", "trial/3"}.isdisjoint(runs)


def test_a_trial_has_a_run_once_it_began_and_one_attempt_of_it_ended(
    empty_study: optuna.Study, tmp_path: Path
) -> None:
    def lines() -> list[bool]:
        return [has_run(line) for line in attempts_by_key(empty_study.get_trials()).values()]

    lock = tmp_path / "lock"
    empty_study.ask()
    requeue(empty_study, empty_study.get_trials()[0], "owner lost", lock)
    assert lines() == [False]  # nobody knows what it was; its copy waits
    book_settings(empty_study.ask(), {})
    assert lines() == [True]
    book_settings(empty_study.ask(), {})
    assert lines() == [True, False]  # it runs
    empty_study.tell(empty_study.ask(), state=TrialState.FAIL)
    assert lines() == [True, False, True]
    assert [len(line) for line in attempts_by_key(empty_study.get_trials()).values()] == [2, 1, 1]
