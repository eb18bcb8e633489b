"""The ensemble of each fold is fitted without it, on what its models said of the others held out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from data_prep.folds import FoldTable
from data_prep.label_rules import LabelDefinition
from data_prep.labels import Labels
from data_prep.problems import InputError
from search.deployment.crossfit import crossfit, out_of_fold_scores
from search.deployment.ensemble import fit_ensemble, log_odds
from search.deployment.plan import RefitPlan
from search.metrics import add_pairs, count_pairs
from search.records import FoldResult, TrialConfig
from search.refits.fit import Fit

N, FOLDS = 60, 3
TPM = np.random.default_rng(0).gamma(2.0, 1.0, size=(N, 2))
WHOSE = tuple(f"p{i // 4}" for i in range(N))
held = np.array([int(name[1:]) % FOLDS for name in WHOSE])


class Ledger:
    """Results by fit, as a ledger has them."""

    def __init__(self, results: Mapping[str, FoldResult | None]) -> None:
        self.results = dict(results)

    def __contains__(self, fit: Fit) -> bool:
        return fit.key in self.results

    def result(self, fit: Fit) -> FoldResult | None:
        return self.results[fit.key]


def labels_of(rule: str = "above-median", source: str = "cohort", genes: int = 1, unknown: int = 0) -> Labels:
    definition = LabelDefinition(
        ("A", "B")[:genes],
        rule,
        source,
        combine="multi-label" if genes > 1 else "mean-z",  # type: ignore[arg-type]
    )
    tpm = TPM[:, :genes].copy()
    tpm[:unknown, 1:] = np.nan
    cuts = [definition.threshold(column[~np.isnan(column)]) for column in tpm.T]
    label = (tpm[:, 0] > cuts[0]).astype(np.int64)
    names = tuple(f"b{i}" for i in range(N))
    return Labels(names, tpm, tpm[:, 0], label, cuts[0], definition, tuple(cuts[1:]))


@pytest.fixture
def make(make_fold: Callable[..., FoldResult]) -> Callable[..., tuple[RefitPlan, Any]]:
    """A plan of two configurations and what their fits gave, by a rule of one's own."""

    def made(labels: Labels, kept: bool = True, configurations: int = 2) -> tuple[RefitPlan, Any]:
        table = FoldTable(labels.biopsy_id, WHOSE, held[None], FOLDS)
        whose = np.array([int(name[1:]) for name in WHOSE])
        material = SimpleNamespace(patches=range(N), labels=labels, folds=table, participant=whose)
        configs = tuple(TrialConfig({"architecture": "roi_means"}, c) for c in range(configurations))
        splits = table.splits()
        folds = tuple(tuple(Fit.of(config, split) for split in splits) for config in configs)
        results = [[_result(make_fold, labels, c, split) for split in splits] for c in range(configurations)]
        rows = tuple(range(N))
        plan = RefitPlan(
            study=Any,  # type: ignore[arg-type]
            material=material,  # type: ignore[arg-type]
            trials=tuple(range(10, 10 + configurations)),
            configs=configs,
            rule="rank-average",
            booked=tuple(dict(enumerate(one)) for one in results),
            versions=(None,) * configurations,
            epochs=(None,) * configurations,
            splits=splits,
            final=tuple((Fit(config, 0, 1, 0, 3, rows, rows),) for config in configs),
            folds=folds if kept else (),
        )
        pairs = zip(chain(*folds), chain(*results), strict=True)
        return plan, Ledger({fit.key: result for fit, result in pairs} if kept else {})

    return made


def said(configuration: int, head: int = 0) -> np.ndarray:
    """What a configuration says of each biopsy, in (0, 1)."""
    rng = np.random.default_rng([configuration, head])
    return 1 / (1 + np.exp(-(np.log(TPM[:, head]) + rng.normal(size=N))))


def _result(make_fold: Callable[..., FoldResult], labels: Labels, c: int, split: Any) -> FoldResult:
    rows = split.test
    heads = {
        name: {"probabilities": said(c, 1)[rows].tolist(), "values": (3 * said(c, 1)[rows]).tolist()}
        for name in labels.definition.heads[1:]
    }
    return make_fold(
        split=split.index,
        rows=tuple(map(int, rows)),
        participants=(0,) * len(rows),
        labels=tuple(map(int, labels.label[rows])),
        probabilities=tuple(said(c)[rows].tolist()),
        values=tuple((3 * said(c)[rows]).tolist()) if labels.definition.is_regression else (),
        heads=heads,
    )


def marks(labels: Labels, rows: Sequence[int] | np.ndarray) -> np.ndarray:
    return np.stack([head.label for head in labels.heads(rows)], axis=1)


@pytest.mark.parametrize("source", ["cohort", "training"])
def test_each_folds_ensemble_is_fitted_without_it_by_the_cut_of_its_training(
    make: Callable[..., tuple[RefitPlan, Any]], source: str
) -> None:
    labels = labels_of(source=source)
    found = crossfit(*make(labels))
    scores = log_odds(np.stack([said(0), said(1)], axis=1))[:, :, None]
    np.testing.assert_array_equal(found.scores, scores)
    assert found.ensemble == fit_ensemble(scores, marks(labels, range(N)))
    for fold, ensemble in enumerate(found.folds):
        others = np.flatnonzero(held != fold)
        assert ensemble == fit_ensemble(scores[others], marks(labels, others)[others])
        own = held == fold
        np.testing.assert_array_equal(found.probability[own], ensemble.probability(scores[own]))


def test_the_metrics_are_those_of_the_crossfitted_probabilities(
    make: Callable[..., tuple[RefitPlan, Any]],
) -> None:
    labels = labels_of(genes=2, unknown=13)
    found = crossfit(*make(labels))
    for k, metrics in enumerate(found.metrics):
        label, probability = marks(labels, range(N))[:, k], found.probability[:, k]
        known = label >= 0
        pairs = [
            count_pairs(label[known & (held == f)], probability[known & (held == f)]) for f in range(FOLDS)
        ]
        assert metrics.roc_auc == pytest.approx(add_pairs(pairs).auc)
        assert metrics.brier == pytest.approx(np.mean((probability - label)[known] ** 2))
        assert (metrics.biopsies, metrics.positive) == (known.sum(), label[known].sum())
    assert found.metrics[1].biopsies == N - 13
    assert found.ensemble.heads[1].own[0].slope > 0


def test_what_a_fold_says_never_changes_its_own_ensemble(make: Callable[..., tuple[RefitPlan, Any]]) -> None:
    plan, ledger = make(labels_of())
    before = crossfit(plan, ledger)
    fit = plan.folds[1][2]
    result = ledger.results[fit.key]
    ledger.results[fit.key] = replace(result, probabilities=tuple(1 - p for p in result.probabilities))
    after = crossfit(plan, ledger)
    assert after.folds[2] == before.folds[2]
    assert after.folds[0] != before.folds[0]
    assert after.ensemble != before.ensemble


def test_a_regression_is_ranked_by_its_values(make: Callable[..., tuple[RefitPlan, Any]]) -> None:
    plan, ledger = make(labels_of("log-tpm", genes=2))
    scores = out_of_fold_scores(plan, ledger)
    for c in range(2):
        for k in range(2):
            np.testing.assert_allclose(scores[:, c, k], 3 * said(c, k))
    assert all((metrics.roc_auc or 0) > 0.5 for metrics in crossfit(plan, ledger).metrics)


def test_without_models_of_the_folds_the_searchs_own_predictions_count(
    make: Callable[..., tuple[RefitPlan, Any]],
) -> None:
    labels = labels_of()
    with_folds, without = crossfit(*make(labels)), crossfit(*make(labels, kept=False))
    assert without.ensemble == with_folds.ensemble
    assert without.metrics == with_folds.metrics


def test_predictions_that_are_missing_are_told_trial_by_trial(
    make: Callable[..., tuple[RefitPlan, Any]],
) -> None:
    plan, ledger = make(labels_of("log-tpm", genes=2), kept=False)
    del plan.booked[0][2]  # type: ignore[attr-defined]
    older = plan.booked[1][0]
    plan.booked[1][0] = replace(older, heads={"B": {"probabilities": older.heads["B"]["probabilities"]}})  # type: ignore[index]
    with pytest.raises(InputError) as caught:
        crossfit(plan, ledger)
    law = "an out-of-fold prediction of every biopsy is needed, but of fold"
    assert caught.value.problems == (
        f"trial 10: {law} 2 there is none. Leave out --skip-folds",
        f"trial 11: {law} 0 its values were not kept. Leave out --skip-folds",
    )
