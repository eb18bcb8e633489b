from __future__ import annotations

import numpy as np
import pytest

from search.audit.subject import Subject, outputs_of, scores_by_fold
from search.bank import freeze_bank
from search.booking import booked_settings, finished_folds
from search.metrics import pooled_metrics


def test_the_trial_fitted_again_reads_images_and_has_its_own_settings_and_seed(audited: Subject) -> None:
    assert audited.refitted is not None
    number, config = audited.refitted
    trial = audited.trials[number]
    assert config.settings == booked_settings(trial)
    assert config.settings["architecture"] == "roi_means"


def test_the_winner_at_its_own_labels_has_the_auc_that_is_reported(audited: Subject) -> None:
    assert audited.winner is not None
    again = pooled_metrics(scores_by_fold(audited.winner, audited.winner.label))["roc_auc"]
    assert again == pytest.approx(audited.winner_measured["roc_auc"].value)


def test_predictions_of_one_model_are_scored_within_folds(audited: Subject) -> None:
    trial = next(t for t in audited.trials if (booked_settings(t) or {})["architecture"] == "roi_means")
    folds = list(finished_folds(trial).values())
    probability = np.zeros(len(audited.participants))
    for fold in folds:
        probability[list(fold.rows)] = fold.probabilities
    material = audited.material
    outputs = outputs_of(material, material.labels.label, material.folds.fold[0], probability)
    whole = pooled_metrics(scores_by_fold(outputs, outputs.label))["roc_auc"]
    assert whole == pooled_metrics([fold.scores for fold in folds])["roc_auc"]


def test_the_bank_is_among_the_tables_where_one_was_made(audited: Subject) -> None:
    folder = audited.home.study(audited.study.name)
    bank = freeze_bank(audited.material, audited.study, folder)
    again = Subject(audited.opened, audited.study, audited.home, audited.material)
    assert [(name, table.hash) for name, table in again.tables.items()] == [
        ("search", audited.material.folds.hash),
        ("bank", bank.hash),
    ]
