from __future__ import annotations

import copy
import json
from collections.abc import Collection
from dataclasses import replace

import numpy as np
import pytest
from optuna.trial import FrozenTrial

from search.audit import SUSPICIOUS_AUC
from search.audit.conduct import check_evaluated, check_looks, check_pretraining, check_size
from search.audit.looks import FILE, look
from search.audit.record import NOT_APPLICABLE, NOT_CHECKED, PASSED, SUSPICIOUS
from search.audit.subject import Subject
from search.booking import FOLD, SETTINGS, finished_folds
from search.statistics.performance import Measured


@pytest.mark.parametrize(("auc", "verdict"), [(0.81, SUSPICIOUS), (0.79, PASSED), (None, NOT_CHECKED)])
def test_a_result_too_good_for_such_a_cohort_is_flagged(
    audited: Subject, auc: float | None, verdict: str
) -> None:
    subject = replace(audited)
    subject.__dict__["winner_measured"] = {"roc_auc": Measured(auc, None, None)}
    assert SUSPICIOUS_AUC == 0.8
    assert check_size(subject).verdict == verdict


def without(trial: FrozenTrial, rows: Collection[int]) -> FrozenTrial:
    """A trial as it would be booked had some biopsies not been scored."""
    trial = copy.deepcopy(trial)
    for split, fold in finished_folds(trial).items():
        places = [place for place, row in enumerate(fold.rows) if row not in rows]
        names = ("rows", "participants", "labels", "probabilities")
        kept = {name: tuple(getattr(fold, name)[place] for place in places) for name in names}
        trial.system_attrs[f"{FOLD}{split}"] = replace(fold, **kept).to_json()
    return trial


def test_labelled_biopsies_that_some_trial_did_not_score_are_counted(audited: Subject) -> None:
    check = check_evaluated(audited)
    assert (check.verdict, check.figures["labelled"], check.figures["scored"]) == (PASSED, 36, 36)
    for lacking in ([0], [0, 35]):
        subject = replace(audited)
        subject.__dict__["trials"] = [without(audited.trials[0], lacking), *audited.trials[1:]]
        check = check_evaluated(subject)
        assert (check.verdict, check.figures["scored"]) == (SUSPICIOUS, 36 - len(lacking))
        assert f"{len(lacking)} of 36 labelled biopsies were not scored" in check.sentence


def test_biopsies_that_the_cohort_labels_and_no_trial_knows_are_counted(audited: Subject) -> None:
    material = audited.material
    whole = material.patches
    fewer = replace(material, patches=whole.take(np.arange(34)))
    check = check_evaluated(replace(audited, material=fewer))
    assert (check.verdict, check.figures["scored"]) == (SUSPICIOUS, 34)
    assert "2 of 36 labelled biopsies were not scored" in check.sentence


def test_without_a_complete_trial_nobody_was_scored(audited: Subject) -> None:
    subject = replace(audited)
    subject.__dict__["trials"] = []
    assert check_evaluated(subject).verdict == NOT_CHECKED


def test_looks_are_told_as_those_that_are_counted(audited: Subject) -> None:
    sentence = check_looks(audited).sentence
    assert "No look at the result was counted" in sentence
    assert "show, list and compare are not" in sentence


def test_a_study_that_went_on_after_a_look_is_flagged(audited: Subject) -> None:
    folder = audited.home.study("shallow")
    assert (check_looks(audited).verdict, check_looks(audited).figures["looks"]) == (PASSED, 0)
    try:
        look(folder, "report", 6)
        assert (check_looks(audited).verdict, check_looks(audited).figures["looks"]) == (PASSED, 1)
        look(folder, "report", 5)
        check = check_looks(audited)
        assert (check.verdict, check.figures["looks"]) == (SUSPICIOUS, 2)
        assert "trials were added" in check.sentence
    finally:
        (folder.root / FILE).unlink()


def test_weights_from_elsewhere_are_the_authors_to_declare(audited: Subject) -> None:
    assert check_pretraining(audited).verdict == NOT_APPLICABLE
    trial = copy.copy(audited.trials[0])
    settings = json.loads(trial.system_attrs[SETTINGS]) | {"weights": "/data/brains.weights.h5"}
    trial.system_attrs = {**trial.system_attrs, SETTINGS: json.dumps(settings)}
    subject = replace(audited)
    subject.__dict__["trials"] = [trial]
    check = check_pretraining(subject)
    assert check.verdict == NOT_CHECKED
    assert "author must declare what brains.weights.h5" in check.sentence
