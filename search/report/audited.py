"""The audit that a report starts by itself: a grouped AUC above what is credible is more often a leak."""

from __future__ import annotations

import optuna

from search.audit import SUSPICIOUS_AUC
from search.booking import finished_folds
from search.home import Home
from search.metrics import pooled_metrics
from search.report.belonging import audit_of
from search.report.logical_study import completed
from search.study_file import Study


def is_due(study: optuna.Study, definition: Study, home: Home) -> bool:
    """Whether a trial passed what is credible and the study was not audited."""
    return audit_of(study, home.study(definition.name)) is None and highest_auc(study) > SUSPICIOUS_AUC


def highest_auc(study: optuna.Study) -> float:
    """The highest AUC within folds of any complete trial; 0 while none is complete."""
    found = [
        pooled_metrics([fold.scores for fold in finished_folds(trial).values()])["roc_auc"]
        for trial in completed(study)
    ]
    return max((value for value in found if value is not None), default=0.0)
