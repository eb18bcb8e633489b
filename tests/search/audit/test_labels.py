from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data_prep.labels import LabelDefinition
from search.audit.labels import check_cut, check_policy, cut_at
from search.audit.record import NOT_CHECKED, PASSED, SUSPICIOUS
from search.audit.subject import Subject
from search.booking import is_superseded
from search.cli import main
from search.home import Home
from search.recorded import material_of, recorded_study


def with_label(subject: Subject, **changes: str) -> Subject:
    label = subject.study.label.model_copy(update=changes)
    study = subject.study.model_copy(update={"label": label})
    return replace(subject, study=study)


def test_the_median_of_the_cohort_is_flagged_and_other_cuts_are_not(audited: Subject) -> None:
    check = check_policy(audited)
    assert (check.verdict, check.figures["rule"]) == (SUSPICIOUS, "above-median")
    assert check_policy(with_label(audited, rule="above:1.03")).verdict == PASSED
    assert check_policy(with_label(audited, threshold_from="training")).verdict == PASSED


@pytest.mark.parametrize(("genes", "verdict"), [(("CD3D",), PASSED), (("CD3D", "CD3E"), SUSPICIOUS)])
def test_several_genes_scored_over_the_whole_cohort_are_flagged_also_with_a_fixed_cut(
    audited: Subject, genes: tuple[str, ...], verdict: str
) -> None:
    label = audited.study.label.model_copy(update={"rule": "above:0.1", "genes": genes})
    check = check_policy(replace(audited, study=audited.study.model_copy(update={"label": label})))
    assert check.verdict == verdict
    assert verdict == PASSED or "2 genes are z-scored by mean and deviation of all biopsies" in check.sentence


def test_another_study_of_the_same_images_with_another_label_is_named(shallow: Path, tmp_path: Path) -> None:
    home = Home(shutil.copytree(shallow / "home", tmp_path / "home"))
    arguments = [
        "--home",
        str(home.root),
        "--trials",
        "1",
        "--set",
        "name=second",
        "--set",
        "label.genes=['CD3E']",
    ]
    assert main(["run", str(shallow / "study.toml"), *arguments]) == 0
    opened, study = recorded_study(home, None, "shallow")
    study = study.model_copy(update={"label": study.label.model_copy(update={"threshold_from": "training"})})
    check = check_policy(
        Subject(
            opened,
            study,
            home,
            material_of(study, opened.user_attrs["identity"] | {"label.threshold_from": "training"}, home),
        )
    )
    assert (check.verdict, check.figures["studies_with_other_labels"]) == (SUSPICIOUS, ["second"])


def test_the_same_predictions_are_scored_at_other_cuts(audited: Subject) -> None:
    check = check_cut(audited)
    found = check.figures["roc_auc_by_percentile"]
    assert set(found) == {"own", "40", "60"}
    assert found["own"] == pytest.approx(audited.winner_measured["roc_auc"].value, abs=1e-4)
    assert check.verdict in (PASSED, SUSPICIOUS)


def test_a_result_that_hangs_on_the_cut_is_flagged(audited: Subject) -> None:
    """Scores that rank the label perfectly, and within each class against the expression."""
    winner = audited.winner
    assert winner is not None
    labels = audited.material.labels
    score = np.where(labels.label == 1, 2.0, 0.0)[None] - 0.001 * labels.score
    subject = replace(audited)
    subject.__dict__["winner"] = replace(winner, score=score, probability=score)
    check = check_cut(subject)
    assert check.verdict == SUSPICIOUS
    assert check.figures["roc_auc_by_percentile"]["own"] == 1.0
    assert min(check.figures["roc_auc_by_percentile"].values()) < 0.9


def test_cuts_are_of_all_scores_or_of_the_training_folds(audited: Subject) -> None:
    labels, fold = audited.material.labels, audited.material.folds.fold[0]
    assert cut_at(labels, audited, fold, 40).mean() == pytest.approx(0.6, abs=0.03)
    training = replace(labels, definition=replace(labels.definition, threshold_from="training"))
    found = cut_at(training, audited, fold, 60)
    for held in range(3):
        cut = np.percentile(labels.score[fold != held], 60)
        np.testing.assert_array_equal(found[fold == held], labels.score[fold == held] > cut)


def test_several_genes_are_scored_by_the_training_fold_that_cuts_them(audited: Subject) -> None:
    """At the median it is the very label that the study's own rule makes; the second gene varies by fold."""
    labels, fold = audited.material.labels, audited.material.folds.fold[0]
    rng = np.random.default_rng(0)
    tpm = np.exp(rng.normal(size=(len(fold), 2)) * np.stack([np.ones(len(fold)), 0.1 + 3.0 * fold], axis=1))
    log = np.log2(tpm + 1)
    score = ((log - log.mean(axis=0)) / log.std(axis=0)).mean(axis=1)
    definition = LabelDefinition(("A", "B"), "above-median", "training")
    labels = replace(labels, tpm=tpm, score=score, definition=definition)
    found = cut_at(labels, audited, fold, 50)
    by_cohort = np.zeros(len(fold), dtype=np.int64)
    for held in range(3):
        own, _ = labels.relabel(np.flatnonzero(fold != held))
        np.testing.assert_array_equal(found[fold == held], own[fold == held])
        by_cohort[fold == held] = score[fold == held] > np.median(score[fold != held])
    assert (found != by_cohort).any()


def test_without_a_complete_trial_nothing_is_said(audited: Subject) -> None:
    subject = replace(audited)
    subject.__dict__["winner"] = None
    assert check_cut(subject).verdict == NOT_CHECKED
    assert not any(is_superseded(trial) for trial in subject.trials)
