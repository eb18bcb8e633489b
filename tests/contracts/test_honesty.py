"""What is printed of a search is true: false claims, coverage, bias and selection on simulated cohorts.

`benchmarks/honesty.py` draws the cohorts; the slow tests are the project's bars at full size, the others the
same on fewer cohorts, which fail where the truth is far off: with an error of at most 5 % each if it just
meets the bar.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom
from threadpoolctl import threadpool_limits

ROOT = Path(__file__).parents[2]
RULE = "rank-average"


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT)
        return importlib.import_module("benchmarks.honesty")


@pytest.fixture(scope="module")
def few(bench: ModuleType) -> dict[bool, list[Any]]:
    """40 cohorts without signal and 20 with, in this process."""
    run = importlib.import_module("benchmarks.honesty_trial").run_cohort
    with threadpool_limits(1):  # the arrays are small
        return {
            signal: [run(seed, signal, draws=300) for seed in range(cohorts)]
            for signal, cohorts in ((False, 40), (True, 20))
        }


@pytest.fixture(scope="module")
def full(bench: ModuleType) -> dict[bool, list[Any]]:
    outcomes = bench.simulate(cohorts=200, draws=1000, seed=0, workers=2)
    return {signal: [outcome for outcome in outcomes if outcome.signal is signal] for signal in (False, True)}


def claims(outcomes: list[Any], rule: str = RULE) -> int:
    return sum(outcome.printed[rule].claim for outcome in outcomes)


def covered(outcomes: list[Any], rule: str = RULE) -> int:
    said = [outcome.printed[rule] for outcome in outcomes]
    return sum(p.low <= p.true <= p.high for p in said)


def of(outcomes: list[Any], value: Callable[[Any], float]) -> np.ndarray:
    return np.array([value(outcome.printed[RULE]) for outcome in outcomes])


def gain(outcomes: list[Any], rule: str) -> tuple[float, float]:
    """By how much the default rule's true AUC is larger, and the standard error of that."""
    paired = np.array([o.printed[RULE].true - o.printed[rule].true for o in outcomes])
    return float(paired.mean()), float(paired.std(ddof=1) / np.sqrt(len(paired)))


def test_the_bars_of_few_cohorts_are_those_of_the_binomial() -> None:
    """5 or more false claims of 40 at a true 5 %; fewer than 16 of 20 covered at a true 90 %."""
    assert binom.sf(4, 40, 0.05) < 0.05
    assert binom.cdf(15, 20, 0.90) < 0.05


def test_few_false_claims_are_printed(few: dict[bool, list[Any]]) -> None:
    assert claims(few[False]) <= 4
    assert sum(outcome.naive_claims["DeLong"] for outcome in few[False]) >= 10


def test_intervals_hold_the_truth(few: dict[bool, list[Any]]) -> None:
    assert covered(few[True]) >= 16
    assert claims(few[True]) >= 10
    difference = [outcome.printed[RULE] for outcome in few[True]]
    assert sum(p.difference_low <= p.true_difference <= p.difference_high for p in difference) >= 16


def test_the_best_trial_looks_better_than_it_is(few: dict[bool, list[Any]]) -> None:
    assert np.mean([outcome.naive - outcome.naive_true for outcome in few[True]]) > 0.02


def test_the_default_rule_selects_better_than_argmax(few: dict[bool, list[Any]]) -> None:
    assert gain(few[True], "argmax")[0] > 0


def test_the_table_prints_what_was_found(bench: ModuleType, few: dict[bool, list[Any]]) -> None:
    text = "\n".join(bench.summary([*few[False], *few[True]]))
    assert f"honest, {RULE}: {claims(few[False])} of 40" in text
    assert f"holds the truth in {covered(few[True])} of 20" in text
    assert "best possible AUC 0.749" in text  # SCIENCE: the mean over a disc of 5 mm


@pytest.mark.slow
def test_at_most_15_of_200_null_cohorts_are_claimed(full: dict[bool, list[Any]]) -> None:
    assert claims(full[False]) <= 15
    for naive in ("DeLong", "Obuchowski"):
        assert sum(outcome.naive_claims[naive] for outcome in full[False]) >= 4 * 15


@pytest.mark.slow
def test_the_interval_covers_in_at_least_90_percent(full: dict[bool, list[Any]]) -> None:
    assert covered(full[True]) >= 180


@pytest.mark.slow
def test_the_estimate_is_off_by_at_most_2_hundredths(full: dict[bool, list[Any]]) -> None:
    assert abs(of(full[True], lambda said: said.estimate - said.true).mean()) <= 0.02
    assert abs(of(full[True], lambda said: said.difference - said.true_difference).mean()) <= 0.02


@pytest.mark.slow
def test_the_default_rule_beats_argmax_beyond_doubt(full: dict[bool, list[Any]]) -> None:
    mean, error = gain(full[True], "argmax")
    assert mean > 3 * error


def test_a_linear_score_has_the_true_auc_of_the_closed_form(bench: ModuleType) -> None:
    """The best of all linear scores, on fresh participants: what `best_auc` says it reaches."""
    cohorts = importlib.import_module("benchmarks.honesty_cohorts")
    models = importlib.import_module("benchmarks.honesty_models")
    trial = importlib.import_module("benchmarks.honesty_trial")
    rng = np.random.default_rng(0)
    everything = models.Configurations(np.ones((1, 36), dtype=bool), np.ones(1))
    large = cohorts.draw_cohort(rng, 5000, 16_667, signal=True)
    truth = trial.Truth(rng, large, everything)
    assert truth.auc((0,)) == pytest.approx(cohorts.best_auc(), abs=0.015)
    assert truth.of_each[0] == pytest.approx(truth.auc((0,)))
