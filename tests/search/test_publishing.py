from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from mlflow import MlflowClient

from search.booking import book_fold, book_settings, requeue
from search.endings import ENDINGS
from search.facts import StudyFacts
from search.ledger import Ledger
from search.pseudonyms import PSEUDONYMS, names_of
from search.publishing import RunPublisher, TrialPublisher, _named, predictions_table, trial_summary
from search.records import FoldResult, TrialConfig

# 48 biopsies of 24 participants, as `make_fold` numbers them.
NAMES = names_of([f"b{n}" for n in range(48)], [f"sub-{n // 2}" for n in range(48)], PSEUDONYMS)


@pytest.fixture(scope="module")
def runs(finished: Any) -> dict[str, Any]:
    """The MLflow runs of the finished study, by name."""
    client = MlflowClient(finished.home.tracking_uri)
    experiment = client.get_experiment_by_name("toy")
    return {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}


def test_there_is_a_run_for_the_study_each_trial_and_each_fold(runs: dict[str, Any]) -> None:
    levels = [run.data.tags["level"] for run in runs.values()]
    assert sorted(levels) == ["fold"] * 6 + ["study"] + ["trial"] * 2
    assert {run.info.status for run in runs.values()} == {"FINISHED"}


def test_folds_hang_below_trials_and_trials_below_the_study(runs: dict[str, Any]) -> None:
    parent = {name: run.data.tags.get("mlflow.parentRunId") for name, run in runs.items()}
    trial = runs["trial 0 small_cnn"]
    assert parent["trial 0 fold 2"] == trial.info.run_id
    assert parent["trial 0 small_cnn"] == runs["toy"].info.run_id


def test_every_run_carries_the_fold_tables_hash(runs: dict[str, Any], finished: Any) -> None:
    wanted = finished.outcome.study.user_attrs["folds"]["hash"]
    assert {run.data.tags["fold_table"] for run in runs.values()} == {wanted}


def test_a_trial_run_has_settings_metrics_and_pictures(runs: dict[str, Any], finished: Any) -> None:
    run = runs["trial 0 small_cnn"]
    assert run.data.params["optimizer"] == "sgd"
    value = finished.outcome.study.get_trials()[0].value
    assert run.data.metrics["roc_auc"] == pytest.approx(value)
    client = MlflowClient(finished.home.tracking_uri)
    files = {item.path for item in client.list_artifacts(run.info.run_id)}
    assert files == {"roc.png", "confusion.png", "held_out.png", "out_of_fold.tsv"}


def test_a_fold_run_has_a_curve_with_one_value_an_epoch(runs: dict[str, Any], finished: Any) -> None:
    client = MlflowClient(finished.home.tracking_uri)
    curve = client.get_metric_history(runs["trial 1 fold 0"].info.run_id, "epoch.loss")
    assert [point.step for point in curve] == [1, 2]


def test_the_study_run_tells_versions_and_holds_the_study(runs: dict[str, Any], finished: Any) -> None:
    assert {"version.python", "version.optuna", "version.keras"} <= set(runs["toy"].data.tags)
    client = MlflowClient(finished.home.tracking_uri)
    held = [item.path for item in client.list_artifacts(runs["toy"].info.run_id)]
    assert held == ["study.json", "study.toml"]


def test_no_participant_or_biopsy_is_named_in_either_tracker(runs: dict[str, Any], finished: Any) -> None:
    texts = [str(run.to_dictionary()) for run in runs.values()]
    texts += [str(trial) for trial in finished.outcome.study.get_trials()]
    texts += [str(finished.outcome.study.user_attrs)]
    assert not any(re.search(r"sub-0|'b\d\d'", text) for text in texts)


def test_pictures_hang_on_the_trial_in_optuna(finished: Any) -> None:
    for trial in finished.outcome.study.get_trials():
        metas = optuna.artifacts.get_all_artifact_meta(trial, storage=finished.outcome.study._storage)
        assert {meta.filename for meta in metas} == {"roc.png", "confusion.png", "held_out.png"}
        assert max(len(str(value)) for value in trial.user_attrs.values()) < 100


def test_the_table_of_predictions_has_one_exact_row_a_biopsy(make_fold: Callable[..., FoldResult]) -> None:
    folds = [make_fold(0), make_fold(1)]
    header, *lines = predictions_table(folds, NAMES).splitlines()
    rows = [dict(zip(header.split("\t"), line.split("\t"), strict=True)) for line in lines]
    assert [float(row["probability"]) for row in rows] == [*folds[0].probabilities, *folds[1].probabilities]
    assert [row["biopsy"] for row in rows] == [f"B{number:03}" for number in range(1, 33)]
    assert [row["participant"] for row in rows] == [f"P{number // 2 + 1:02}" for number in range(32)]


def test_the_table_that_mlflow_holds_names_every_biopsy_by_its_pseudonym(
    runs: dict[str, Any], finished: Any
) -> None:
    files = finished.home.tracking_artifacts / runs["trial 0 small_cnn"].info.run_id / "artifacts"
    rows = [line.split("\t") for line in (files / "out_of_fold.tsv").read_text().splitlines()[1:]]
    key = (finished.home.study("toy").pseudonyms).read_text().splitlines()[1:]
    assert {(row[3], row[4]) for row in rows} == {tuple(line.split("\t")[:2]) for line in key}
    assert len(key) == 36


class Recorder:
    """Notes every call."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args, **_: self.calls.append((name, args))


@pytest.fixture
def publisher(finished: Any) -> TrialPublisher:
    facts = StudyFacts.of(finished.outcome.study)
    return TrialPublisher(finished.study, facts, NAMES, Recorder(), None)  # type: ignore[arg-type]


def ended_runs(publisher: TrialPublisher) -> dict[str, str]:
    calls: list[tuple[str, tuple[Any, ...]]] = publisher._tracker.calls  # type: ignore[attr-defined]
    return {args[0]: args[1] for name, args in calls if name == "end_run"}


@pytest.mark.parametrize(("cause", "ended"), [("pruned", []), ("over time", [1]), ("interrupted", [1])])
def test_a_trial_ends_the_run_of_the_fold_that_was_under_way_and_no_other(
    cause: str,
    ended: list[int],
    empty_study: optuna.Study,
    make_fold: Callable[..., FoldResult],
    publisher: TrialPublisher,
) -> None:
    publisher.fold_started(0, 0)
    publisher.fold_done(0, make_fold(0))
    if ended:
        publisher.fold_started(0, 1)
    publisher._tracker.calls.clear()  # type: ignore[attr-defined]
    publisher.trial_ended(empty_study, empty_study.ask(), 0, [make_fold(0)], ENDINGS[cause], "")
    assert list(ended_runs(publisher)) == [*(f"trial/0/fold/{split}" for split in ended), "trial/0"]


def test_folds_that_waited_for_the_database_do_not_pass_for_the_one_under_way(
    empty_study: optuna.Study, make_fold: Callable[..., FoldResult], publisher: TrialPublisher
) -> None:
    for split in range(3):
        publisher.fold_started(0, split)
    for split in range(2):
        publisher.fold_done(0, make_fold(split))
    folds = [make_fold(0), make_fold(1)]
    publisher.trial_ended(empty_study, empty_study.ask(), 0, folds, ENDINGS["interrupted"], "")
    done = {"trial/0/fold/0": "FINISHED", "trial/0/fold/1": "FINISHED"}
    assert ended_runs(publisher) == done | {"trial/0/fold/2": "KILLED", "trial/0": "KILLED"}


def test_only_a_first_attempts_runs_are_told_as_new(
    finished: Any, make_fold: Callable[..., FoldResult]
) -> None:
    """Those of a retry, and of a fold that a dead process had finished, may be there."""
    new: list[str] = []

    class Starts(Recorder):
        def start_run(self, key: str, *args: Any, is_new: bool = False, **named: Any) -> None:
            new.extend([key] if is_new else [])

    publisher = TrialPublisher(finished.study, StudyFacts.of(finished.outcome.study), NAMES, Starts(), None)  # type: ignore[arg-type]
    publisher.study_started(None)
    config = TrialConfig({"architecture": "constant"}, 1)
    publisher.trial_started(3, config, None)
    publisher.fold_started(3, 0)
    publisher.fold_found(2, make_fold(1))
    publisher.trial_started(3, config, retry_of=3)
    publisher.fold_started(3, 1)
    assert new == ["trial/3", "trial/3/fold/0"]


@pytest.mark.parametrize("retries", [0, 2])
def test_a_lost_trials_runs_are_ended_and_its_table_is_logged_once_nobody_takes_it_up(
    retries: int,
    empty_study: optuna.Study,
    make_fold: Callable[..., FoldResult],
    publisher: TrialPublisher,
    tmp_path: Path,
) -> None:
    trial = empty_study.ask()
    trial.set_user_attr("retries", retries)
    book_settings(trial, {"architecture": "constant"})
    book_fold(trial, make_fold(0))
    requeue(empty_study, empty_study.get_trials()[0], "owner lost", tmp_path / "lock")
    publisher.trial_lost(empty_study.get_trials()[0])
    assert ended_runs(publisher) == {"trial/0/fold/1": "FAILED", "trial/0": "FAILED"}
    calls = [name for name, _ in publisher._tracker.calls]  # type: ignore[attr-defined]
    assert ("log_text" in calls, "log_metrics" in calls) == (retries == 2, retries == 2)


def test_a_trial_that_was_lost_before_it_had_a_run_gets_none(
    empty_study: optuna.Study, publisher: TrialPublisher, tmp_path: Path
) -> None:
    empty_study.ask()
    requeue(empty_study, empty_study.get_trials()[0], "owner lost", tmp_path / "lock")
    publisher.trial_lost(empty_study.get_trials()[0])
    assert publisher._tracker.calls == []  # type: ignore[attr-defined]


def test_the_summary_adds_up_the_cost(make_fold: Callable[..., FoldResult]) -> None:
    summary = trial_summary([make_fold(0), make_fold(1)])
    assert (summary["seconds"], summary["folds_done"]) == (3.0, 2.0)


def test_names_that_become_the_same_are_numbered_and_no_value_is_lost() -> None:
    named = _named({"a?b": 1.0, "a*b": 2.0, "a_b 2": 3.0, "a!b": 4.0, "c": 5.0})
    assert named == {"a_b": 1.0, "a_b 2": 2.0, "a_b 2 2": 3.0, "a_b 3": 4.0, "c": 5.0}


def test_further_labels_of_any_name_reach_mlflow(
    finished: Any, make_fold: Callable[..., FoldResult], tmp_path: Path
) -> None:
    fold = make_fold(0)
    names = ("HLA-A*02 [x]", "HLA-A_02 [x]", "HLA-A?02 [x]", "CD8A")
    head = {
        "labels": list(fold.labels),
        "probabilities": list(fold.probabilities),
        "threshold": 0.5,
        "label_threshold": 1.0,
    }
    summary = trial_summary([replace(fold, heads=dict.fromkeys(names, head))])
    beside = [name for name in summary if name.partition(".")[0].startswith(("HLA", "CD8A"))]
    assert len([name for name in beside if "roc_auc" in name]) == 4
    # A copy: alembic, which makes a new one, bears no other thread that makes one at the same time.
    copy = shutil.copy(finished.home.root / "mlflow.db", tmp_path / "mlflow.db")
    client = MlflowClient(f"sqlite:///{copy}")
    run = client.create_run(client.create_experiment("e"))
    for name, value in summary.items():
        client.log_metric(run.info.run_id, name, value)
    assert set(client.get_run(run.info.run_id).data.metrics) == set(summary)


def test_whoever_joins_a_study_opens_its_run_and_leaves_its_settings_as_they_are(finished: Any) -> None:
    facts, names = StudyFacts.of(finished.outcome.study), NAMES
    for joining, told in ((False, {"study.json", "study.toml"}), (True, set())):
        ledger = Ledger()
        RunPublisher(finished.study, facts, names, ledger).study_started(None if joining else "toml", joining)
        assert ledger.runs.keys() == {"study"}
        assert ledger.runs["study"].texts.keys() == told
