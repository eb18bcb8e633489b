from __future__ import annotations

import copy
import json
from dataclasses import replace

import pytest

from search.audit import SUSPICIOUS_AUC
from search.audit.conduct import check_evaluated, check_looks, check_pretraining, check_size
from search.audit.looks import FILE, look
from search.audit.record import NOT_APPLICABLE, NOT_CHECKED, PASSED, SUSPICIOUS
from search.audit.subject import Subject
from search.booking import SETTINGS
from search.statistics.performance import Measured


@pytest.mark.parametrize(("auc", "verdict"), [(0.81, SUSPICIOUS), (0.79, PASSED), (None, NOT_CHECKED)])
def test_a_result_too_good_for_such_a_cohort_is_flagged(
    audited: Subject, auc: float | None, verdict: str
) -> None:
    subject = replace(audited)
    subject.__dict__["winner_measured"] = {"roc_auc": Measured(auc, None, None)}
    assert SUSPICIOUS_AUC == 0.8
    assert check_size(subject).verdict == verdict


def test_biopsies_dropped_for_a_missing_sequence_are_counted(audited: Subject) -> None:
    assert check_evaluated(audited).verdict == PASSED
    material = replace(audited.material, missing="drop", excluded={"no_expression": 2, "missing_sequence": 5})
    check = check_evaluated(replace(audited, material=material))
    assert (check.verdict, check.figures["dropped"]) == (SUSPICIOUS, 5)
    assert "5 of 41 labelled biopsies" in check.sentence


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
