"""Shallow baselines through the same folds as any network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data_prep.arrays import IntArray
from models.registry import BASELINES
from search.baseline import fit_shallow
from search.fold import Task, run_fold
from search.home import Home
from search.material import prepare
from search.metrics import matching_threshold
from search.records import FoldResult, TrialConfig
from search.refits.fit import Fit, Shuffle
from search.study_file import Study

QUICK = {"forest_trees": 20, "nca_lambda": 1.0}


@pytest.fixture
def study(make_study: Callable[..., Study], tmp_path: Path) -> Study:
    names = ", ".join(f'"{name}"' for name in BASELINES)
    changes = ["search.enqueue=[]", "space={}", f"space.architecture=[{names}]", "space.patch_radius=[2]"]
    return make_study(tmp_path, *changes)


def task_of(study: Study, tmp_path: Path, **params: object) -> Task:
    material = prepare(study, Home.at(tmp_path / "home"), frozen=False)
    settings = study.parameters.settings({"patch_radius": 2, **params})  # type: ignore[dict-item]
    return Task.of(material, study, TrialConfig({**settings, **QUICK}, 7), 0)


def run(task: Task, tmp_path: Path) -> FoldResult:
    return run_fold(task, lambda task: fit_shallow(task, tmp_path / "cache"))


def relabelled(task: Task, labels: IntArray) -> Task:
    """The same fold with other labels."""
    column = labels[:, None]
    return replace(task, targets=replace(task.targets, labels=column, learned=column.astype(np.float32)))


@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_gives_each_held_out_biopsy_a_probability(
    name: str, study: Study, tmp_path: Path
) -> None:
    result = run(task_of(study, tmp_path, architecture=name), tmp_path)
    assert len(result.probabilities) == len(result.rows) == 12
    assert all(0 <= p <= 1 for p in result.probabilities)
    assert result.parameters > 0
    assert (result.curves, result.best_epoch) == ({}, 0)


def test_the_constant_is_the_training_folds_prevalence(study: Study, tmp_path: Path) -> None:
    task = task_of(study, tmp_path, architecture="constant")
    result = run(task, tmp_path)
    prevalence = task.labels[task.split.train].mean()
    assert result.probabilities == pytest.approx(np.full(len(result.rows), prevalence))


@pytest.mark.parametrize("early_stopping", ["inner", "none"])
@pytest.mark.parametrize("name", ["constant", "roi_means"])
def test_biopsies_to_stop_on_beside_the_training_fold_set_the_threshold_and_nothing_else(
    name: str, early_stopping: str, study: Study, tmp_path: Path
) -> None:
    training = study.training.model_copy(update={"early_stopping": early_stopping})
    study = study.model_copy(update={"training": training})
    whole = task_of(study, tmp_path, architecture=name)
    rows, material = whole.split.train, whole.material
    fit = Fit.of(whole.config, replace(whole.split, train=rows[7:]))
    task = Task.of_fit(material, study, replace(fit, stop=tuple(map(int, rows[:7]))))
    result = run(task, tmp_path)
    labels = task.labels.copy()
    labels[rows[:7]] = 1 - labels[rows[:7]]
    other = run(relabelled(task, labels), tmp_path)
    assert other.probabilities == result.probabilities != run(whole, tmp_path).probabilities
    if name == "constant":
        assert set(result.probabilities) == {float(task.labels[rows[7:]].mean())}
    alone = run(replace(task, stop=None), tmp_path)
    assert alone.probabilities == result.probabilities
    assert alone.threshold == 0.5
    if early_stopping == "inner":
        said = fit_shallow(task, tmp_path / "cache").stop
        assert said is not None
        assert result.threshold == matching_threshold(task.labels[rows[:7]], said[:, 0])


def test_held_out_labels_reach_nothing_but_the_record(study: Study, tmp_path: Path) -> None:
    task = task_of(study, tmp_path, architecture="texture_logistic", selection="nca")
    labels = task.labels.copy()
    labels[task.split.test] = 1 - labels[task.split.test]
    result, other = (run(t, tmp_path) for t in (task, relabelled(task, labels)))
    assert (other.probabilities, other.threshold) == (result.probabilities, result.threshold)
    assert other.labels != result.labels


def test_features_are_computed_once_for_all_folds(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = task_of(study, tmp_path, architecture="roi_means")
    first = run(task, tmp_path)

    def refuse(*_: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr("data_prep.features.extract._OF_PATCHES", dict.fromkeys(("roi_means",), refuse))
    assert np.array_equal(first.probabilities, run(task, tmp_path).probabilities)


@pytest.mark.parametrize("name", ["roi_means", "texture_logistic", "missingness"])
def test_copies_with_a_sequence_of_other_biopsies_are_scored_by_the_same_model(
    name: str, make_cohort: Callable[..., Path], make_study: Callable[..., Study], tmp_path: Path
) -> None:
    """With a single sequence, a biopsy that takes it from another is that other one."""
    make_cohort(tmp_path / "cohort", missing={(3, "T1")})
    changes = [
        "input.sequences=['T1']",
        "search.enqueue=[]",
        "space={}",
        f"space.architecture=['{name}', 'texture_svm']",
    ]
    task = task_of(make_study(tmp_path, *changes, "space.patch_radius=[2]"), tmp_path, architecture=name)
    test = tuple(map(int, task.split.test))
    plain = run(task, tmp_path)
    shuffles = (Shuffle("T1", test[::-1]), Shuffle("T1", test))
    result = run(replace(task, shuffles=shuffles), tmp_path)
    own = plain.probabilities
    assert result.probabilities == (*own, *own[::-1], *own)
    assert result.threshold == plain.threshold


def test_a_model_without_the_sequence_says_the_same_of_a_copy(study: Study, tmp_path: Path) -> None:
    task = task_of(study, tmp_path, architecture="location")
    rows = tuple(map(int, task.split.test[::-1]))
    result = run(replace(task, shuffles=(Shuffle("T1", rows),)), tmp_path)
    n = len(rows)
    assert result.probabilities[:n] == result.probabilities[n:]
    assert len(set(result.probabilities)) > 1


def study_with(study: Study, **label: object) -> Study:
    return study.model_copy(update={"label": study.label.model_copy(update=label)})


@pytest.mark.parametrize("name", ["constant", "roi_means", "texture_forest"])
def test_a_regression_ranks_by_what_it_says_of_the_score(name: str, study: Study, tmp_path: Path) -> None:
    task = task_of(study_with(study, rule="log-tpm"), tmp_path, architecture=name)
    result = run(task, tmp_path)
    assert task.targets.is_regression
    assert len(result.values) == len(result.rows)
    order = np.argsort(result.values, kind="stable")
    assert (np.diff(np.array(result.probabilities)[order]) >= 0).all()
    if name == "constant":
        mean = task.material.labels.value[task.split.train].mean()
        assert result.values == pytest.approx(np.full(len(result.rows), mean), rel=1e-5)
    assert FoldResult.from_json(result.to_json()) == result


def test_further_labels_are_those_of_models_of_their_own(study: Study, tmp_path: Path) -> None:
    genes = ("CD3D", "CD3E")
    several = study_with(study, genes=genes, combine="multi-label")
    result = run(task_of(several, tmp_path, architecture="roi_means"), tmp_path)
    for gene in genes:
        alone = run(task_of(study_with(study, genes=(gene,)), tmp_path, architecture="roi_means"), tmp_path)
        if gene == genes[0]:
            assert (result.probabilities, result.threshold) == (alone.probabilities, alone.threshold)
        elif alone.rows == result.rows:  # folds are made by the first label
            assert result.heads[gene]["probabilities"] == pytest.approx(alone.probabilities)
    assert list(result.heads) == ["CD3E"]
    assert len(result.heads["CD3E"]["labels"]) == len(result.rows)


def test_incomplete_biopsies_are_scored_but_teach_nothing_where_they_are_dropped(
    study: Study, tmp_path: Path
) -> None:
    for person in (1, 5):
        (tmp_path / "cohort" / f"sub-{person:03d}" / "T2.nii.gz").unlink()
    dropping = study.model_copy(update={"input": study.input.model_copy(update={"missing": "drop"})})
    task = task_of(dropping, tmp_path, architecture="roi_means")
    kept = set(map(int, task.train))
    assert kept == {row for row in map(int, task.split.train) if task.material.complete[row]}
    assert kept < set(map(int, task.split.train))
    assert set(map(int, task.fit)) | set(map(int, task.stop if task.stop is not None else [])) == kept
    assert run(task, tmp_path).rows == tuple(map(int, task.split.test))
