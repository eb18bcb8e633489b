"""When a report starts the audit by itself."""

from __future__ import annotations

from collections.abc import Callable

import optuna
import pytest

from search.audit.record import Audit, write_audit
from search.booking import FOLD
from search.home import Home
from search.opening import IDENTITY
from search.records import FoldResult
from search.report.audited import highest_auc, is_due
from search.report.evidence import Evidence


@pytest.fixture
def study_of(make_fold: Callable[..., FoldResult], empty_study: optuna.Study) -> Callable[..., optuna.Study]:
    """A study with a complete trial whose fold is ranked rightly, or the wrong way round."""

    def make(error: float) -> optuna.Study:
        fold = make_fold(error=error)
        empty_study.add_trial(optuna.create_trial(value=0.5, system_attrs={f"{FOLD}0": fold.to_json()}))
        return empty_study

    return make


def test_what_is_too_good_is_audited_once(
    study_of: Callable[..., optuna.Study], evidence: Evidence, home: Home
) -> None:
    study = study_of(0.1)
    assert highest_auc(study) == 1.0
    assert is_due(study, evidence.definition, home)
    hashes = {"patches": "a", "labels": "b", "folds": "c"}
    study.set_user_attr(IDENTITY, {"cohort.patches": "a", "cohort.labels": "b", "folds.hash": "c"})
    folder = home.study(evidence.name)
    write_audit(folder, Audit(evidence.name, "2026-01-01", 1.0, hashes | {"labels": "another"}, {}, ()))
    assert is_due(study, evidence.definition, home)
    write_audit(folder, Audit(evidence.name, "2026-01-01", 1.0, hashes, {}, ()))
    assert not is_due(study, evidence.definition, home)


def test_what_is_credible_is_not(
    study_of: Callable[..., optuna.Study], evidence: Evidence, home: Home
) -> None:
    study = study_of(0.9)
    assert highest_auc(study) == 0.0
    assert not is_due(study, evidence.definition, home)


def test_a_study_without_trials_has_nothing_to_audit(empty_study: optuna.Study) -> None:
    assert highest_auc(empty_study) == 0.0


@pytest.fixture
def home(tmp_path) -> Home:  # type: ignore[no-untyped-def]
    return Home.at(tmp_path / "home")
