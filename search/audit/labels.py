"""How labels were made, and whether the result hangs on the cut."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from data_prep.arrays import IntArray
from data_prep.labels import Labels
from search.audit.record import NOT_CHECKED, PASSED, SUSPICIOUS, Check
from search.audit.subject import Subject, scores_by_fold
from search.metrics import pooled_metrics
from search.opening import IDENTITY
from search.storage import all_studies

POLICY, CUT = "label policy", "label cut"
PERCENTILES = (40, 60)
LABEL = {  # keys of an identity, and what they were before they could be chosen
    "label.genes": None,
    "label.column": None,
    "label.combine": "mean-z",
    "label.rule": None,
    "label.threshold_from": None,
}
FALL = 0.10  # of the AUC: about two standard errors of such a difference on 150 biopsies; a judgement


def check_policy(subject: Subject) -> Check:
    """Where the cut comes from, and whether genes or cuts were tried out on this cohort."""
    label, definition = subject.study.label, subject.study.label.definition
    others = list(_other_labels(subject))
    figures = {
        "genes": list(label.genes),
        "column": label.column,
        "rule": label.rule,
        "threshold_from": label.threshold_from,
        "threshold": subject.material.labels.threshold,
        "studies_with_other_labels": others,
    }
    if others:
        text = (
            f"{len(others)} more studies of this home predict other genes or cuts on the same images "
            f"({', '.join(others[:3])}): a label chosen by its result is one more thing that was searched."
        )
        return Check(POLICY, SUSPICIOUS, text, figures=figures)
    if not definition.is_fixed and label.threshold_from == "cohort":
        text = (
            "The cut is drawn through all biopsies, those held out among them: one number, but it ties the "
            'share of positives in scoring to that in training. Safer: rule = "above:1.03", or '
            'threshold_from = "training".'
        )
        return Check(POLICY, SUSPICIOUS, text, figures=figures)
    if definition.z_scores and label.threshold_from == "cohort":
        text = (
            f"The {len(label.genes)} genes are z-scored by mean and deviation of all biopsies, those held "
            "out among them, so that every label hangs on these. Safer: one gene, or "
            'threshold_from = "training".'
        )
        return Check(POLICY, SUSPICIOUS, text, figures=figures)
    how = "fixed beforehand" if definition.is_fixed else "that of each training fold alone"
    text = f"The cut is {how}; genes and cut have not changed since the first trial."
    return Check(POLICY, PASSED, text, figures=figures)


def _other_labels(subject: Subject) -> Iterator[str]:
    """Studies of the same storage on the same images that predict something else."""
    own = subject.identity
    for other in all_studies(subject.opened._storage):
        theirs: Mapping[str, object] = other.user_attrs[IDENTITY]
        same_images = theirs.get("cohort.name") == own.get("cohort.name")
        if same_images and any(theirs.get(key, usual) != own.get(key, usual) for key, usual in LABEL.items()):
            yield other.study_name


def check_cut(subject: Subject) -> Check:
    """What was selected, scored at labels cut at other percentiles; nothing is fitted again."""
    winner = subject.winner
    if winner is None:
        return Check(CUT, NOT_CHECKED, "No trial is complete yet.")
    labels = subject.material.labels
    found = {"own": pooled_metrics(scores_by_fold(winner, winner.label))["roc_auc"]}
    for percentile in PERCENTILES:
        cut = np.stack([cut_at(labels, subject, fold, percentile) for fold in winner.fold])
        found[str(percentile)] = pooled_metrics(scores_by_fold(winner, cut))["roc_auc"]
    values = {name: None if value is None else round(value, 4) for name, value in found.items()}
    figures = {"roc_auc_by_percentile": values, "refitted": False}
    own, least = found["own"], min((v for v in found.values() if v is not None), default=None)
    told = ", ".join(
        f"{value:.2f} at the {name}th" for name, value in found.items() if name != "own" and value
    )
    if own is None or least is None:
        return Check(CUT, NOT_CHECKED, "Its AUC is undefined.", figures=figures)
    text = f"AUC {own:.2f} at the study's cut, {told} percentile (the same predictions, nothing fitted again)"
    if own > 0.5 + FALL and own - least > FALL:
        return Check(CUT, SUSPICIOUS, f"{text}: the result hangs on where the cut was made.", figures=figures)
    return Check(CUT, PASSED, f"{text}.", figures=figures)


def cut_at(labels: Labels, subject: Subject, fold: IntArray, percentile: float) -> IntArray:
    """Labels by a percentile: of all scores, or where the study's cut is the training fold's, of those.

    Scores are then the training fold's as well: several genes are z-scored by it.

    Args:
        labels: Of the dataset.
        subject: The study.
        fold: Which fold holds each biopsy out, shape (biopsies,).
        percentile: 0 to 100.
    """
    if labels.definition.threshold_from == "cohort":
        return (labels.score > np.percentile(labels.score, percentile)).astype(np.int64)
    result = np.zeros(len(fold), dtype=np.int64)
    for held in np.unique(fold):
        train, test = np.flatnonzero(fold != held), np.flatnonzero(fold == held)
        score = labels.heads(train)[0].value
        result[test] = score[test] > np.percentile(score[train], percentile)
    return result
