from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import optuna
import pytest

from search.booking import book_fold, book_settings
from search.metrics import DIRECTIONS
from search.records import FoldResult
from search.statistics.bbc import bootstrap
from search.statistics.honest import Honest, estimate_of, honest_estimate
from search.statistics.predictions import Predictions
from search.statistics.selection import RULES, Rule, combined, select
from tests.search.statistics.plainly import everybody, make_predictions, metric_of


def estimate(predictions: Predictions, metric: str = "roc_auc", rule: str = "rank-average") -> Honest:
    return estimate_of(predictions, Rule(rule), metric, draws=200, seed=0)


def said(predictions: Predictions, probability: np.ndarray) -> Predictions:
    """The same cohort, where every configuration says this, shape (biopsies,)."""
    everywhere = np.broadcast_to(probability, predictions.probability.shape).copy()
    return replace(predictions, probability=everywhere, threshold=np.full_like(everywhere, 0.5))


@pytest.mark.parametrize("metric", DIRECTIONS)
@pytest.mark.parametrize("rule", RULES)
def test_it_is_made_of_the_draws(rule: str, metric: str) -> None:
    predictions = make_predictions(participants=20, repeats=2, default=5)
    found, boot = estimate(predictions, metric, rule), bootstrap(predictions, Rule(rule), metric, 200, 0)
    assert np.array_equal(found.draws, boot.selected)
    assert found.estimate == pytest.approx(np.mean(boot.selected))
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(boot.selected, (2.5, 97.5))))
    worse = 5 if DIRECTIONS[metric] == "maximize" else 95
    assert found.lower == pytest.approx(np.percentile(boot.selected, worse))
    difference = found.tuned_minus_default
    assert difference is not None
    assert boot.default is not None
    assert difference.default_trial == predictions.trials[5]
    assert difference.estimate == pytest.approx(np.mean(boot.selected - boot.default))
    expected = tuple(np.percentile(boot.selected - boot.default, (2.5, 97.5)))
    assert (difference.low, difference.high) == pytest.approx(expected)
    assert (found.configurations, found.handed_out, found.reason) == (8, 11, None)


@pytest.mark.parametrize("metric", DIRECTIONS)
def test_the_naive_values_are_those_of_the_whole_cohort(metric: str) -> None:
    predictions = make_predictions(participants=20)
    found, drawn = estimate(predictions, metric), everybody(predictions)
    values = [metric_of(predictions.outputs(c), metric, drawn) for c in range(len(predictions.trials))]
    sign = 1 if DIRECTIONS[metric] == "maximize" else -1
    assert found.naive == pytest.approx(sign * max(sign * v for v in values if v is not None))
    members = select(Rule(), predictions, metric)
    assert found.trials == tuple(predictions.trials[member] for member in members)
    assert found.selected_naive == pytest.approx(metric_of(combined(predictions, members), metric, drawn))
    assert found.estimate is not None
    assert found.naive is not None
    assert found.optimism == pytest.approx(sign * (found.naive - found.estimate))


@pytest.mark.parametrize(("metric", "best"), [("roc_auc", 1.0), ("f1", 1.0), ("brier", 0.0)])
def test_what_is_always_right_is_claimed(metric: str, best: float) -> None:
    predictions = make_predictions(participants=20)
    found = estimate(said(predictions, predictions.label[0].astype(float)), metric)
    assert (found.estimate, found.low, found.high, found.lower, found.naive) == (best,) * 5
    assert found.claim is True
    assert found.tuned_minus_default is not None
    assert found.tuned_minus_default.high == 0.0


@pytest.mark.parametrize("metric", DIRECTIONS)
@pytest.mark.parametrize("constant", [0.5, 0.6])
def test_a_constant_answer_is_not_claimed(metric: str, constant: float) -> None:
    predictions = make_predictions(participants=20)
    found = estimate(said(predictions, np.full(len(predictions.participant), constant)), metric)
    assert found.claim is False
    assert found.chance is not None
    if metric.endswith("auc"):
        assert (found.estimate, found.chance) == (0.5, 0.5)


@pytest.mark.parametrize("metric", ["brier", "log_loss", "accuracy"])
@pytest.mark.parametrize("size", range(3, 12))
def test_rounding_is_not_better_than_chance(metric: str, size: int) -> None:
    """Every participant has one positive, and the prevalence is what is said of each: chance, exactly."""
    predictions = make_predictions()
    who = np.repeat(np.arange(12), size)
    cohort = replace(
        predictions,
        label=(np.arange(len(who)) % size == 0).astype(np.int64)[None],
        participant=who,
        fold=who[None] % 3,
        probability=np.full((8, 1, len(who)), 1 / size),
        threshold=np.full((8, 1, len(who)), 0.5),
    )
    found = estimate(cohort, metric)
    assert found.estimate == pytest.approx(found.chance)
    assert found.claim is False


def test_a_metric_that_is_minimised_is_claimed_against_the_prevalence() -> None:
    predictions = make_predictions(participants=40, configurations=20, signal=0.8, decimals=6)
    found = estimate(predictions, "brier")
    assert found.lower is not None
    assert found.chance is not None
    assert found.lower < 0.25
    assert found.chance == pytest.approx(0.25, abs=0.01)
    assert found.claim is True


def test_the_luck_of_the_best_of_many_that_know_nothing_is_taken_off() -> None:
    """Scores that have nothing to do with the labels, nor with each other: the truth is .5."""
    noise = [
        make_predictions(seed, 60, participants=30, folds=5, signal=0.0, decimals=6) for seed in range(30)
    ]
    for rule in RULES:
        found = [estimate(predictions, rule=rule) for predictions in noise]
        estimates = [f.estimate for f in found if f.estimate is not None]
        error = np.std(estimates, ddof=1) / np.sqrt(len(estimates))
        assert abs(np.mean(estimates) - 0.5) < 3 * error < 0.04
        assert np.mean([f.naive for f in found if f.naive is not None]) > 0.6
        assert sum(f.claim is True for f in found) <= 5


def test_the_seed_decides() -> None:
    first, again = (estimate(make_predictions()) for _ in range(2))
    assert np.array_equal(first.draws, again.draws)
    other = estimate_of(make_predictions(), Rule(), "roc_auc", draws=200, seed=1)
    assert not np.array_equal(first.draws, other.draws)


@pytest.mark.parametrize(
    ("positive", "participants", "reason"),
    [(None, 1, "at least 2 participants"), (0, 12, "of 12 participants fewer do")],
)
def test_where_there_is_no_estimate_it_says_why(positive: int | None, participants: int, reason: str) -> None:
    predictions = make_predictions(participants=participants)
    if positive is not None:
        predictions = replace(predictions, label=(predictions.participant == positive).astype(int)[None])
    found = estimate(predictions)
    assert found.reason is not None
    assert reason in found.reason
    nothing = (found.estimate, found.low, found.high, found.lower, found.claim, found.tuned_minus_default)
    assert nothing == (None,) * 6
    assert (found.optimism, found.chance, len(found.draws)) == (None, None, 0)
    assert len(found.trials) == 3


@pytest.mark.parametrize(("participants", "claim"), [(5, None), (6, True)])
def test_nothing_is_claimed_of_very_few_participants(participants: int, claim: bool | None) -> None:
    predictions = make_predictions(seed=1, participants=participants, folds=2)
    found = estimate(said(predictions, predictions.label[0].astype(float)))
    assert (found.estimate, found.claim) == (1.0, claim)


def test_one_class_has_no_value_either() -> None:
    predictions = make_predictions()
    found = estimate(replace(predictions, label=np.ones_like(predictions.label)))
    assert (found.naive, found.selected_naive, found.estimate) == (None, None, None)
    assert found.reason is not None


@pytest.fixture
def searched(make_fold: Callable[..., FoldResult]) -> optuna.Study:
    """Two complete trials of three folds, the second the better one."""
    study = optuna.create_study(direction="maximize")
    study.set_user_attr("metric", "brier")
    for error in (0.4, 0.2):
        trial = study.ask()
        book_settings(trial, {"error": error})
        for split in range(3):
            book_fold(trial, make_fold(split, error))
        study.tell(trial, 0.5)
    return study


def test_a_study_is_estimated_by_what_it_stores(searched: optuna.Study) -> None:
    found = honest_estimate(searched, Rule("argmax"), draws=100)
    assert found is not None
    assert (found.metric, found.trials, found.configurations, found.handed_out) == ("brier", (1,), 2, 2)
    errors = (0.2 + np.linspace(0.0, 0.05, 16)) ** 2
    assert found.naive == pytest.approx(errors.mean())
    assert found.estimate == pytest.approx(errors.mean(), abs=0.002)
    assert found.tuned_minus_default is not None
    assert found.tuned_minus_default.default_trial == 0
    assert found.tuned_minus_default.high < 0
    assert found.claim is True


def test_a_study_without_a_complete_trial_has_no_estimate() -> None:
    study = optuna.create_study()
    study.set_user_attr("metric", "roc_auc")
    assert honest_estimate(study, Rule()) is None


def test_scored_by_another_metric_the_same_trials_are_selected() -> None:
    predictions = make_predictions(1, participants=30)
    own = estimate(predictions)
    inside = estimate_of(predictions, Rule(), "roc_auc", 200, 0, scored="within_participant_auc")
    members = [predictions.trials.index(number) for number in own.trials]
    assert inside.trials == own.trials
    assert inside.metric == "within_participant_auc"
    expected = metric_of(combined(predictions, members), inside.metric, everybody(predictions))
    assert inside.selected_naive == pytest.approx(expected)


@pytest.mark.parametrize(("mixed", "claim"), [(5, None), (6, True)])
def test_nothing_is_claimed_inside_of_few_participants_with_both_classes(
    mixed: int, claim: bool | None
) -> None:
    """40 participants of two biopsies, ranked rightly; of `mixed` the two differ."""
    predictions = make_predictions(participants=40)
    who = np.repeat(np.arange(40), 2)
    label = np.where(who < mixed, np.tile([0, 1], 40), who % 2)[None]
    shape = (8, 1, 80)
    known = replace(
        predictions,
        label=label,
        participant=who,
        fold=(who % 3)[None],
        probability=np.broadcast_to(0.3 + 0.4 * label, shape).copy(),
        threshold=np.full(shape, 0.5),
    )
    found = estimate_of(known, Rule(), "roc_auc", 100, 0, scored="within_participant_auc")
    assert found.claim is claim
