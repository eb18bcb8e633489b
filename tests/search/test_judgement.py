"""The judged part of a study's record, beside the statistics that it is made of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from search.booking import book_fold, book_settings
from search.home import Home
from search.judgement import UNJUDGED, judgement
from search.metrics import pooled_metrics
from search.records import FoldResult
from search.statistics.honest import METHOD, honest_estimate
from search.statistics.selection import Rule


@pytest.fixture
def study(empty_study: optuna.Study, make_fold: Callable[..., FoldResult]) -> optuna.Study:
    """Five trials of three folds, the later the worse."""
    empty_study.set_user_attr("metric", "roc_auc")
    for error in (0.3, 0.45, 0.5, 0.55, 0.6):
        trial = empty_study.ask()
        book_settings(trial, {"architecture": "constant"})
        folds = [make_fold(split, error, repeat=0, fold=split) for split in range(3)]
        for fold in folds:
            book_fold(trial, fold)
        empty_study.tell(trial, pooled_metrics([fold.scores for fold in folds])["roc_auc"])
    return empty_study


def test_selection_and_estimate_are_those_of_the_statistics(study: optuna.Study, tmp_path: Path) -> None:
    selected, honest = judgement(study, Home.at(tmp_path))
    expected = honest_estimate(study, Rule())
    assert expected is not None
    assert selected == {"rule": "rank-average", "trials": list(expected.trials)}
    assert (honest["estimate"], honest["ci95"]) == (expected.estimate, [expected.low, expected.high])
    assert (honest["method"], honest["claim"], honest["p_value"]) == (METHOD, expected.claim, None)
    assert honest["configurations"] == 5


def test_the_rule_is_the_one_frozen_with_the_study(study: optuna.Study, tmp_path: Path) -> None:
    study.set_user_attr("identity", {"search.selection": "argmax", "search.top": None})
    selected, _ = judgement(study, Home.at(tmp_path))
    assert selected == {"rule": "argmax", "trials": [0]}


def test_without_a_complete_trial_nothing_is_selected(empty_study: optuna.Study, tmp_path: Path) -> None:
    empty_study.set_user_attr("metric", "roc_auc")
    empty_study.tell(empty_study.ask(), state=TrialState.FAIL)
    selected, honest = judgement(empty_study, Home.at(tmp_path))
    assert selected["trials"] == []
    assert honest == {**UNJUDGED, "reason": "no trial is complete yet"}


def test_trials_of_other_folds_are_not_judged_together(
    study: optuna.Study, make_fold: Callable[..., FoldResult], tmp_path: Path
) -> None:
    trial = study.ask()
    book_fold(trial, make_fold(0))
    study.tell(trial, 0.9)
    _, honest = judgement(study, Home.at(tmp_path))
    assert honest["estimate"] is None
    assert "every trial must have the same folds" in honest["reason"]
