"""The honest estimate of a study: what its selection is worth on participants that it has not seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import optuna

from search.metrics import DIRECTIONS, Doubles
from search.statistics.bbc import Bootstrap, bootstrap
from search.statistics.draws import NoDrawsError
from search.statistics.predictions import Predictions, predictions_of
from search.statistics.selection import Rule, combined, distinct, select
from search.statistics.sums import Sums

METHOD = "participant-bootstrap BBC-CV"
INTERVAL, LEVEL = (0.025, 0.975), 0.05  # the 95 % interval; the one-sided level of the claim
ROUNDING = 1e-9  # a constant answer is not better than itself
LEAST_CLAIMED = 6  # participants: of fewer, the draws are too few different ones for a quantile of 5 %


@dataclass(frozen=True)
class Difference:
    """The metric of what is selected minus that of the untuned configuration, on the same participants.

    Attributes:
        estimate: Mean over draws; of a metric that is minimised, below 0 where tuning helped.
        low: 2.5 % quantile.
        high: 97.5 % quantile.
        default_trial: Number of the untuned trial.
    """

    estimate: float
    low: float
    high: float
    default_trial: int


@dataclass(frozen=True, eq=False)
class Honest:
    """What a study's selection is worth, and how good it looked.

    Attributes:
        metric: Of all values: the study's, or the one that `estimate_of` was told to score by.
        rule: How it selects.
        trials: Numbers of the selected trials, best first.
        estimate: Mean over draws of the metric of what the rule selects, on participants that had no part in
            selecting. None, as the five below, where `reason` says why.
        low: 2.5 % quantile.
        high: 97.5 % quantile.
        lower: The bound that the truth is worse than with a probability of 5 %: the 5 % quantile, or the 95 %
            quantile of a metric that is minimised.
        naive: The best trial's own value, too good by the luck of the best.
        selected_naive: The metric of what was selected on the data that selected it.
        claim: Whether the study may say "better than chance" at the one-sided 5 % level: the 5 % quantile of
            the AUC is above .5; of another metric, the 5 % quantile of what it is better by than the best
            constant answer for the same biopsies is above 0. None, too, of fewer than 6 participants that
            the metric compares anything of.
        draws: The values behind the estimate, shape (draws,).
        tuned_minus_default: None where the untuned trial did not complete.
        configurations: How many the rule selected from.
        distinct: How many of them differ in what they predict.
        handed_out: How many trials were handed out, also those that failed or were pruned.
        reason: Why there is no estimate, in words.
        chance: What the best constant answer reaches, mean over draws; .5 for an AUC.
    """

    metric: str
    rule: Rule
    trials: tuple[int, ...]
    estimate: float | None
    low: float | None
    high: float | None
    lower: float | None
    naive: float | None
    selected_naive: float | None
    claim: bool | None
    draws: Doubles
    tuned_minus_default: Difference | None
    configurations: int
    handed_out: int
    reason: str | None = None
    chance: float | None = None
    distinct: int = 0

    @property
    def optimism(self) -> float | None:
        """By how much the best trial's own value is better than the estimate; None without both."""
        if self.naive is None or self.estimate is None:
            return None
        return _sign(self.metric) * (self.naive - self.estimate)


def honest_estimate(study: optuna.Study, rule: Rule, draws: int = 1000, seed: int = 0) -> Honest | None:
    """The honest estimate of a study by its stored predictions; None while no trial is complete.

    Args:
        study: As `search.opening` makes it: its metric is a user attribute.
        rule: How it selects.
        draws: Of participants.
        seed: The same seed gives the same estimate.
    """
    predictions = predictions_of(study)
    if predictions is None:
        return None
    return estimate_of(predictions, rule, study.user_attrs["metric"], draws, seed)


def estimate_of(
    predictions: Predictions, rule: Rule, metric: str, draws: int, seed: int, scored: str | None = None
) -> Honest:
    """The honest estimate by the predictions of every configuration.

    Args:
        predictions: All that could have been selected.
        rule: How.
        metric: By which is selected, in every draw too: a name of `search.metrics.DIRECTIONS`.
        draws: Of participants, at least 1.
        seed: The same seed gives the same estimate.
        scored: The metric that the estimate is of; None for the one by which is selected.
    """
    members = select(rule, predictions, metric)
    boot, reason = _bootstrap(predictions, rule, (metric, scored or metric), draws, seed)
    best, metric = select(Rule("argmax"), predictions, metric)[0], scored or metric
    sums = Sums(metric, predictions)
    values = np.empty(0) if boot is None else boot.selected
    low, high = (_quantile(values, q) for q in INTERVAL)
    return Honest(
        metric=metric,
        rule=rule,
        trials=tuple(predictions.trials[member] for member in members),
        estimate=_mean(values),
        low=low,
        high=high,
        lower=_quantile(values, LEVEL if _sign(metric) > 0 else 1 - LEVEL),
        naive=sums.value(predictions.outputs(best)),
        selected_naive=sums.value(combined(predictions, members)),
        claim=None if boot is None or _few(predictions, metric) else _claim(boot, metric),
        draws=values,
        tuned_minus_default=None if boot is None else _difference(boot, predictions),
        configurations=len(predictions.trials),
        handed_out=predictions.handed_out,
        reason=reason,
        chance=None if boot is None else _mean(boot.chance),
        distinct=len(distinct(predictions)),
    )


def _bootstrap(
    predictions: Predictions, rule: Rule, metrics: tuple[str, str], draws: int, seed: int
) -> tuple[Bootstrap | None, str | None]:
    """The bootstrap that selects by the first metric and scores by the second, or why there is none."""
    try:
        return bootstrap(predictions, rule, metrics[0], draws, seed, metrics[1]), None
    except NoDrawsError as error:
        return None, str(error)


def _few(predictions: Predictions, metric: str) -> bool:
    """Whether too few participants have anything that the metric compares."""
    people = np.unique(predictions.participant)
    if metric == "within_participant_auc":
        own = [predictions.label[:, predictions.participant == person] for person in people]
        return sum(bool((label.min(axis=1) < label.max(axis=1)).any()) for label in own) < LEAST_CLAIMED
    return len(people) < LEAST_CLAIMED


def _claim(boot: Bootstrap, metric: str) -> bool:
    """Whether what is selected is better than chance in all but 5 % of the draws."""
    return bool(np.quantile(_sign(metric) * (boot.selected - boot.chance), LEVEL) > ROUNDING)


def _difference(boot: Bootstrap, predictions: Predictions) -> Difference | None:
    if boot.default is None or predictions.default is None:
        return None
    difference = boot.selected - boot.default
    low, high = np.quantile(difference, INTERVAL)
    return Difference(
        float(difference.mean()), float(low), float(high), predictions.trials[predictions.default]
    )


def _sign(metric: str) -> int:
    return 1 if DIRECTIONS[metric] == "maximize" else -1


def _mean(values: Doubles) -> float | None:
    return float(values.mean()) if len(values) else None


def _quantile(values: Doubles, q: float) -> float | None:
    return float(np.quantile(values, q)) if len(values) else None
