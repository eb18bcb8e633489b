"""One simulated cohort: what the software prints of its search, and what is true of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import norm, rankdata

from benchmarks.honesty_cohorts import BIOPSIES, PARTICIPANTS, Cohort, draw_cohort
from benchmarks.honesty_models import Configurations, run_search
from search.metrics import count_pairs
from search.statistics.clustered import clustered_auc
from search.statistics.honest import Honest, estimate_of
from search.statistics.predictions import Predictions
from search.statistics.selection import RULES, Rule, select

Doubles = npt.NDArray[np.float64]

METRIC = "roc_auc"
CONFIGURATIONS = 100
FRESH_PARTICIPANTS, FRESH_BIOPSIES = 5000, 16_667
LEVEL = 0.05


@dataclass(frozen=True)
class Printed:
    """What is printed of one rule's selection, and the truth.

    Attributes:
        estimate: The honest one.
        low: Of the 95 % interval.
        high: Of the 95 % interval.
        claim: Whether "better than chance" is printed.
        true: AUC of what was selected, trained on the whole cohort, on fresh participants; .5 without signal.
        difference: Tuned minus default, as printed.
        difference_low: Of its 95 % interval.
        difference_high: Of its 95 % interval.
        true_difference: The same of the true AUCs.
    """

    estimate: float
    low: float
    high: float
    claim: bool
    true: float
    difference: float
    difference_low: float
    difference_high: float
    true_difference: float


@dataclass(frozen=True)
class Outcome:
    """One cohort.

    Attributes:
        seed: Of the cohort.
        signal: Whether the labels follow what the features show.
        printed: By rule.
        naive: The best trial's own AUC.
        naive_true: Its true AUC.
        naive_claims: Whether a test of the best trial's held-out predictions, all pooled, finds it better
            than chance at the one-sided 5 % level, by the test's name.
        configuration_mean: Mean true AUC of the configurations.
        configuration_best: The largest.
    """

    seed: int
    signal: bool
    printed: dict[str, Printed]
    naive: float
    naive_true: float
    naive_claims: dict[str, bool]
    configuration_mean: float
    configuration_best: float


def run_cohort(seed: int, signal: bool, draws: int) -> Outcome:
    """Draw a cohort, search, let the software say how good that is, and find out."""
    rng = np.random.default_rng([seed, signal])
    cohort = draw_cohort(rng, PARTICIPANTS, BIOPSIES, signal)
    configurations = Configurations.draw(rng, CONFIGURATIONS)
    predictions = run_search(cohort, configurations, seed)
    truth = Truth(rng, cohort, configurations) if signal else None
    honest = {rule: estimate_of(predictions, Rule(rule), METRIC, draws, seed) for rule in RULES}
    best = select(Rule("argmax"), predictions, METRIC)[0]
    return Outcome(
        seed,
        signal,
        {rule: _printed(said, truth) for rule, said in honest.items()},
        naive=float(honest["argmax"].naive or 0.0),
        naive_true=truth.auc((best,)) if truth else 0.5,
        naive_claims=_naive_claims(predictions, best),
        configuration_mean=float(truth.of_each.mean()) if truth else 0.5,
        configuration_best=float(truth.of_each.max()) if truth else 0.5,
    )


class Truth:
    """The true AUC of any selection trained on the whole cohort, on fresh participants."""

    def __init__(self, rng: np.random.Generator, cohort: Cohort, configurations: Configurations) -> None:
        fresh = draw_cohort(rng, FRESH_PARTICIPANTS, FRESH_BIOPSIES, signal=True)
        self._label = fresh.label
        self._rank = rankdata(configurations.scores(cohort, fresh.feature), axis=1)
        positive = int(fresh.label.sum())
        below = self._rank[:, fresh.label == 1].sum(axis=1) - positive * (positive + 1) / 2
        self.of_each = below / (positive * (len(fresh.label) - positive))  # Mann and Whitney

    def auc(self, members: tuple[int, ...]) -> float:
        """Of the mean of the members' ranks."""
        pairs = count_pairs(self._label, self._rank[list(members)].mean(axis=0))
        return float(pairs.auc or 0.0)


def _printed(said: Honest, truth: Truth | None) -> Printed:
    difference = said.tuned_minus_default
    if said.estimate is None or said.low is None or said.high is None or difference is None:
        raise RuntimeError(f"a cohort of this size must have an estimate, but: {said.reason}")
    true = truth.auc(said.trials) if truth else 0.5
    true_default = truth.auc((difference.default_trial,)) if truth else 0.5
    return Printed(
        said.estimate,
        said.low,
        said.high,
        bool(said.claim),
        true,
        difference.estimate,
        difference.low,
        difference.high,
        true - true_default,
    )


def _naive_claims(predictions: Predictions, best: int) -> dict[str, bool]:
    label, score = predictions.label[0], predictions.probability[best, 0]
    clusters = {"DeLong": np.arange(len(label)), "Obuchowski": predictions.participant}
    return {name: _is_claimed(*clustered_auc(label, score, of)) for name, of in clusters.items()}


def _is_claimed(auc: float | None, variance: float | None) -> bool:
    if auc is None or variance is None:
        return False
    return bool(auc - norm.ppf(1 - LEVEL) * np.sqrt(variance) > 0.5)
