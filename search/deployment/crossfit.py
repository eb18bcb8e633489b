"""The ensemble of a model, and of each fold that of the others: fitted on what the fold models said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from data_prep.arrays import DoubleArray, IntArray
from data_prep.labels import UNKNOWN
from data_prep.problems import Problems
from search.deployment.ensemble import Ensemble, fit_ensemble, log_odds
from search.deployment.facts import OutOfFold
from search.deployment.plan import RefitPlan
from search.metrics import Scores, pooled_metrics
from search.records import FoldResult
from search.refits.ledger import FitLedger


@dataclass(frozen=True, eq=False)
class Crossfit:
    """What the biopsies say of the ensemble while they were held out.

    Attributes:
        scores: Of n biopsies by C configurations for K labels, each by a model that did not see its
            participant, shape (n, C, K); log-odds, or values of a regression.
        fold: In which each was held out, shape (n,).
        ensemble: For new participants.
        folds: Of each fold the ensemble for those held out in it, fitted without them.
        probability: What that says of each biopsy, shape (n, K).
        metrics: Of these probabilities, a label each.
    """

    scores: DoubleArray
    fold: IntArray
    ensemble: Ensemble
    folds: tuple[Ensemble, ...]
    probability: DoubleArray
    metrics: tuple[OutOfFold, ...]


def crossfit(plan: RefitPlan, ledger: FitLedger) -> Crossfit:
    """Fit the ensembles of a plan.

    Args:
        plan: Its fits were run; without those of the folds, what the search booked takes their place.
        ledger: Has what they gave.

    Raises:
        InputError: A biopsy has no out-of-fold prediction of a trial, or the known values of a label are all
            the same; a line each.
    """
    scores, labels = out_of_fold_scores(plan, ledger), plan.material.labels
    names = labels.definition.heads
    fold = plan.material.folds.fold[0]
    ensemble = fit_ensemble(scores, _marks(plan, plan.final[0][0].train), names)
    folds, probability = [], np.full((len(fold), len(names)), np.nan)
    parts: list[list[Scores]] = [[] for _ in names]
    for split in plan.splits:
        own, marks = fold == split.fold, _marks(plan, split.train)
        fitted = fit_ensemble(scores[~own], marks[~own], names)
        folds.append(fitted)
        probability[own] = fitted.probability(scores[own])
        for k, part in enumerate(parts):
            known = own & (marks[:, k] != UNKNOWN)
            whose = plan.material.participant[known]
            part.append(Scores(marks[known, k], probability[known, k], whose, float(fitted.thresholds[k])))
    return Crossfit(scores, fold, ensemble, tuple(folds), probability, tuple(map(_metrics, parts)))


def check_booked(plan: RefitPlan, ledger: FitLedger) -> None:
    """Refuse a plan without the fits of the folds where what the search booked cannot take their place.

    Raises:
        InputError: As of `crossfit`, before anything is fitted.
    """
    if not plan.folds:
        crossfit(plan, ledger)


def out_of_fold_scores(plan: RefitPlan, ledger: FitLedger) -> DoubleArray:
    """What each configuration said of each biopsy while it was held out, shape (n, C, K).

    Raises:
        InputError: A biopsy has no such prediction; a line a trial and fold.
    """
    names = plan.material.labels.definition.heads
    scores = np.full((len(plan.material.patches), len(plan.configs), len(names)), np.nan)
    problems = Problems()
    for column, (trial, results) in enumerate(zip(plan.trials, _results(plan, ledger), strict=True)):
        for split in plan.splits:
            result = results.get(split.index)
            told = None if result is None else _told(result, names, plan)
            if result is None or told is None:
                what = "there is none" if result is None else "its values were not kept"
                problems.add(
                    f"trial {trial}",
                    f"an out-of-fold prediction of every biopsy is needed, but of fold {split.fold} {what}. "
                    "Leave out --skip-folds",
                )
            else:
                scores[list(result.rows), column] = told
    problems.raise_any()
    return scores


def _results(plan: RefitPlan, ledger: FitLedger) -> list[Mapping[int, FoldResult]]:
    """The results of each configuration, by split: of its fits, or as the search booked them."""
    if not plan.folds:
        return list(plan.booked)
    found: list[Mapping[int, FoldResult]] = []
    for fits in plan.folds:
        results = ((fit.split, ledger.result(fit) if fit in ledger else None) for fit in fits)
        found.append({split: result for split, result in results if result is not None})
    return found


def _told(result: FoldResult, names: Sequence[str], plan: RefitPlan) -> DoubleArray | None:
    """The scores of a fold's biopsies, shape (m, K); None where values of a further label are missing."""
    key = "values" if plan.material.labels.definition.is_regression else "probabilities"
    columns = [getattr(result, key), *(result.heads[name].get(key) for name in names[1:])]
    if any(column is None or len(column) != len(result.rows) for column in columns):
        return None
    told = np.array(columns, dtype=np.float64).T
    return told if key == "values" else log_odds(told)


def _marks(plan: RefitPlan, train: Sequence[int] | IntArray) -> IntArray:
    """The labels of every biopsy by the cuts of some training rows, shape (n, K)."""
    return np.stack([head.label for head in plan.material.labels.heads(train)], axis=1)


def _metrics(folds: Sequence[Scores]) -> OutOfFold:
    """The metrics of one label."""
    label = np.concatenate([fold.label for fold in folds])
    apart = label - np.concatenate([fold.probability for fold in folds])
    auc = pooled_metrics([fold for fold in folds if len(fold.label)])["roc_auc"]
    return OutOfFold(len(label), int(label.sum()), auc, float(np.mean(apart**2)))
