"""The replayed search: what its figures mean, on a table made by hand."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import optuna
import pytest

from search.records import FoldResult
from search.sections import SearchSection

FOLDS = 5


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    return importlib.import_module("search_time")


def make_fold(split: int, auc_like: float) -> FoldResult:
    """A fold of 8 participants with 2 biopsies each and 1 second, ranked the better the higher `auc_like`."""
    labels = np.tile([0, 1], 8)
    noise = np.random.default_rng(split).uniform(size=16)
    probability = auc_like * labels + (1 - auc_like) * noise
    return FoldResult(
        split=split,
        repeat=0,
        fold=split,
        rows=tuple(range(16)),
        participants=tuple(int(8 * split + i // 2) for i in range(16)),
        labels=tuple(map(int, labels)),
        probabilities=tuple(map(float, probability)),
        threshold=0.5,
        label_threshold=1.03,
        curves={},
        best_epoch=1,
        seconds=1.0,
        parameters=1,
        trainable_parameters=1,
        device="CPU",
        memory_mb=1.0,
    )


@pytest.fixture
def rows(bench: ModuleType) -> list[Any]:
    """The benchmark's own grid; each later configuration is truly a little better than the one before."""
    grid = importlib.import_module("search_table").grid()
    return [
        bench.Row(settings, tuple(make_fold(k, i / len(grid)) for k in range(FOLDS)), 0.5 + i / 200)
        for i, settings in enumerate(grid)
    ]


def test_without_a_pruner_every_fold_runs_and_time_is_the_folds_seconds(
    bench: ModuleType, rows: list[Any]
) -> None:
    search = bench.replay(rows, SearchSection(trials=12, sampler="random"), optuna.pruners.NopPruner(), 0)
    assert [trial.folds for trial in search] == [FOLDS] * 12
    best = max(trial.row.true_auc for trial in search)
    first = [trial.row.true_auc for trial in search].index(best)
    assert bench.arrival(search, best) <= FOLDS * (first + 1)
    assert bench.arrival(search, 2.0) == FOLDS * 12
    assert bench.spread(np.full(5, 6.0), np.full(5, 3.0)) == (2.0, 2.0)


def test_the_clairvoyant_prunes_what_is_truly_worse_and_nothing_else(
    bench: ModuleType, rows: list[Any]
) -> None:
    pruner = bench.SIDES["clairvoyant"](rows)
    search = bench.replay(rows, SearchSection(trials=20, sampler="random"), pruner, 1)
    later = [trial for trial in search if trial.incumbent is not None]
    assert any(trial.is_pruned for trial in later)
    assert all(trial.is_pruned != trial.is_as_good for trial in later)
    assert {trial.folds for trial in search} == {2, FOLDS}


def test_both_sides_of_a_seed_try_the_same_configurations(bench: ModuleType, rows: list[Any]) -> None:
    search = SearchSection(trials=10, sampler="random")
    tried = [
        [trial.row.settings for trial in bench.replay(rows, search, bench.SIDES[side](rows), 3)]
        for side in ("none", "paired")
    ]
    assert tried[0] == tried[1]
