from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from search.metrics import DIRECTIONS, Scores, pooled_metrics
from search.statistics import performance as module
from search.statistics.calibration_line import calibration_slope
from search.statistics.clustered import clustered_auc
from search.statistics.draws import times_drawn
from search.statistics.performance import Measured, performance
from search.statistics.predictions import Outputs

KEYS = {
    "roc_auc",
    "within_participant_auc",
    "between_participant_auc",
    "brier",
    "brier_skill",
    "log_loss",
    "accuracy",
    "balanced_accuracy",
    "f1",
    "spearman",
    "calibration_intercept",
    "calibration_slope",
}
# Of each participant: its fold, and of each biopsy the label and the probability.
cohorts = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.lists(
            st.tuples(st.integers(0, 1), st.sampled_from([0.0, 0.1, 0.4, 0.5, 0.8, 1.0])),
            min_size=1,
            max_size=4,
        ),
    ),
    min_size=1,
    max_size=7,
)


def outputs_of(cohort: list[tuple[int, list[tuple[int, float]]]], threshold: float = 0.45) -> Outputs:
    rows = [(p, fold, *biopsy) for p, (fold, biopsies) in enumerate(cohort) for biopsy in biopsies]
    who, fold, label, probability = (np.array(column) for column in zip(*rows, strict=True))
    predicted = (probability > threshold).astype(np.int64)
    return Outputs(label[None], who, fold[None], probability[None], probability[None], predicted[None])


def cohort_of(seed: int, signal: float = 1.0, repeats: int = 1, people: int = 45, each: int = 3) -> Outputs:
    """Participants with an effect of their own on label and score, five folds."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(people), each)
    truth = 0.7 * rng.normal(size=people)[who] + rng.normal(size=len(who))
    label = np.tile(truth > 0, (repeats, 1)).astype(np.int64)
    score = signal * truth + 0.7 * rng.normal(size=people)[who] + rng.normal(size=(repeats, len(who)))
    probability = 1 / (1 + np.exp(-score))
    fold = np.stack([rng.permutation(np.arange(people) % 5)[who] for _ in range(repeats)])
    return Outputs(label, who, fold, score, probability, (probability > 0.5).astype(np.int64))


def value(found: dict[str, Measured], name: str) -> float | None:
    return found[name].value


@given(cohorts)
@settings(max_examples=50)
def test_what_the_search_reports_of_a_trial_is_what_is_measured_here(
    cohort: list[tuple[int, list[tuple[int, float]]]],
) -> None:
    o = outputs_of(cohort)
    folds = [
        Scores(o.label[0][rows], o.probability[0][rows], o.participant[rows], 0.45)
        for rows in (o.fold[0] == name for name in np.unique(o.fold))
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = performance(o, None)
    assert set(found) == KEYS
    expected = pooled_metrics(folds)
    assert set(expected) == set(DIRECTIONS) <= KEYS
    for name, reference in expected.items():
        assert value(found, name) == (None if reference is None else pytest.approx(reference))
    for measured in found.values():
        if measured.low is not None and measured.high is not None:
            assert measured.low <= measured.high
        assert measured.value is not None or (measured.low, measured.high) == (None, None)


def test_the_others_are_scikit_learns() -> None:
    o = cohort_of(0)
    found = performance(o, np.arange(135.0))
    label, probability, predicted = o.label[0], o.probability[0], o.predicted[0]
    assert value(found, "balanced_accuracy") == pytest.approx(sk.balanced_accuracy_score(label, predicted))
    elsewhere = [label[o.fold[0] != fold].mean() for fold in o.fold[0]]
    constant = sk.brier_score_loss(label, elsewhere)
    assert value(found, "brier_skill") == pytest.approx(
        1 - sk.brier_score_loss(label, probability) / constant
    )


def test_metrics_are_averaged_over_repeats() -> None:
    both, tpm = cohort_of(1, repeats=2), np.random.default_rng(0).normal(size=135)
    alone = [
        performance(Outputs(*(a if a.ndim == 1 else a[[r]] for a in vars(both).values())), tpm)
        for r in (0, 1)
    ]
    together = performance(both, tpm)
    for name in ("within_participant_auc", "brier", "log_loss", "accuracy", "balanced_accuracy", "spearman"):
        mean = np.mean([value(one, name) for one in alone])
        assert value(together, name) == pytest.approx(mean), name


def test_intervals_are_quantiles_over_cohorts_in_which_participants_are_drawn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Slowly: each drawn cohort is written down, participants numbered anew, and measured as any other."""
    monkeypatch.setattr(module, "DRAWS", 20)
    o, tpm = cohort_of(2, people=12), np.random.default_rng(0).normal(size=36)
    found = performance(o, tpm, seed=5)
    values: dict[str, list[float]] = {name: [] for name in KEYS}
    elsewhere = np.array([[o.label[0][o.fold[0] != fold].mean() for fold in o.fold[0]]])
    for counts in times_drawn(12, 20, 5).astype(int):
        rows, who = [], []
        for person in np.repeat(np.arange(12), counts):
            rows += np.flatnonzero(o.participant == person).tolist()
            who += [len(set(who))] * 3
        drawn = Outputs(*(a[:, rows] if a.ndim == 2 else np.array(who) for a in vars(o).values()))
        again = performance(drawn, tpm[rows])
        constant = float(np.mean((elsewhere[0][rows] - drawn.label[0]) ** 2))
        skill = 1 - float(again["brier"].value or 0) / constant
        for name in KEYS:
            one = skill if name == "brier_skill" else again[name].value
            if one is not None:
                values[name].append(one)
    for name in KEYS - {"calibration_intercept", "calibration_slope"}:
        low, high = np.quantile(values[name], [0.025, 0.975])
        assert (found[name].low, found[name].high) == pytest.approx((low, high)), name


def test_the_interval_is_as_wide_as_that_of_obuchowskis_variance() -> None:
    o = cohort_of(3)
    one_fold = replace(o, fold=np.zeros_like(o.fold))
    found = performance(one_fold, None)["roc_auc"]
    auc, variance = clustered_auc(o.label[0], o.score[0], o.participant)
    assert auc is not None
    assert variance is not None
    assert found.low is not None
    assert found.high is not None
    assert found.value == pytest.approx(auc)
    assert found.high - found.low == pytest.approx(2 * 1.96 * variance**0.5, rel=0.1)


def test_intervals_of_one_model_hold_the_truth_in_nineteen_cohorts_of_twenty(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of 45 participants, one model fixed beforehand, all in one fold; the truth from a large cohort."""
    monkeypatch.setattr(module, "DRAWS", 400)
    large = cohort_of(10_000, people=700, each=3)
    names = ("roc_auc", "within_participant_auc", "between_participant_auc", "brier", "balanced_accuracy")
    one = performance(replace(large, fold=np.zeros_like(large.fold)), None)
    truth = {name: one[name].value for name in names}
    held = dict.fromkeys(names, 0)
    for seed in range(100):
        o = cohort_of(seed)
        found = performance(replace(o, fold=np.zeros_like(o.fold)), None, seed)
        for name in names:
            low, high, right = found[name].low, found[name].high, truth[name]
            assert low is not None
            assert high is not None
            assert right is not None
            held[name] += low < right < high
    assert all(count >= 88 for count in held.values()), held


def test_without_expression_there_is_no_correlation() -> None:
    assert performance(cohort_of(4), None)["spearman"] == Measured(None, None, None)


def test_one_class_leaves_only_what_needs_no_other() -> None:
    o = cohort_of(5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = performance(replace(o, label=np.ones_like(o.label)), np.arange(135.0))
    defined = {name for name, measured in found.items() if measured.value is not None}
    assert defined == {"brier", "log_loss", "accuracy", "f1", "spearman"}


def test_one_participant_has_no_interval() -> None:
    o = cohort_of(6, people=1, each=12)
    found = performance(o, None)
    assert found["roc_auc"].value is not None
    assert all((measured.low, measured.high) == (None, None) for measured in found.values())


def test_calibration_takes_a_participant_as_one_cluster_through_all_repeats() -> None:
    once = cohort_of(7)
    twice = Outputs(*(a if a.ndim == 1 else np.vstack([a, a]) for a in vars(once).values()))
    expected = calibration_slope(once.label[0], once.probability[0], once.participant)
    found = performance(twice, None)["calibration_slope"]
    assert (found.value, found.low, found.high) == pytest.approx(expected, rel=1e-5)
