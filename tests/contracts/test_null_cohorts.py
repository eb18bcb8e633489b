"""The printed claim on cohorts without signal, through the command line: a small run of the benchmark."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from search.statistics.predictions import Outputs

COHORTS, TRIALS = 6, 12


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    return importlib.import_module("null_cohorts")


@pytest.mark.slow
def test_claims_on_cohorts_without_signal_are_as_rare_as_they_are_said_to_be(
    bench: ModuleType, tmp_path: Path
) -> None:
    """Seeds that the benchmark's 40 cohorts do not have; of 6, 2 false claims have a chance of 3 % at 5 %."""
    verdicts = bench.verdicts_of(range(1000, 1000 + COHORTS), tmp_path, 2, trials=TRIALS)
    found = bench.summary(verdicts)
    assert (found["cohorts"], found["allowed"]) == (COHORTS, 1)
    assert found["false claims"] <= found["allowed"]
    assert found["mean AUC of the best trial"] > found["mean honest estimate"]


def outputs(score: np.ndarray) -> Outputs:
    """40 participants with 3 biopsies each in 4 folds, of which each third is positive."""
    label, fold = np.tile([0, 0, 1], 40)[None], np.repeat(np.arange(4), 30)[None]
    people = np.repeat(np.arange(40), 3)
    return Outputs(label, people, fold, score[None], score[None], (score[None] > 0.5).astype(np.int64))


def test_the_naive_test_claims_a_signal_and_no_noise(bench: ModuleType) -> None:
    random = np.random.default_rng(0)
    label = np.tile([0, 0, 1], 40)
    assert bench.naive_test(outputs(label + random.normal(size=120)))[1]
    claims = [bench.naive_test(outputs(random.normal(size=120)))[1] for _ in range(200)]
    assert np.mean(claims) == pytest.approx(0.05, abs=3 * np.sqrt(0.05 * 0.95 / 200))


@pytest.mark.parametrize(("cohorts", "allowed"), [(20, 3), (40, 4), (100, 9), (200, 15), (400, 27)])
def test_as_many_false_claims_are_allowed_as_the_specification_says(
    bench: ModuleType, cohorts: int, allowed: int
) -> None:
    assert bench.allowed(cohorts) == allowed
