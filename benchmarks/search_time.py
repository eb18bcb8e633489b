"""Search with pruning beside search without: time to a configuration near the best, and false prunes.

A finite space is trained for real, once (`search_table`); the searches are replayed over its recorded folds,
all sides with the same seeds. The audit beside it prunes simulated trials (`search_audit`).
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import optuna
from search_audit import audit
from search_replay import Clairvoyant, Replayed, replay
from search_table import COHORT, STUDY, Row, load_table

from search.pruner import PairedParticipantPruner
from search.sections import SearchSection

# Not called search.py: the scripts of this folder would import that in place of the package `search`.
NEAR = 0.01  # of the best true AUC: the search has arrived
SEEDS, TRIALS, BUDGETS = 30, 40, (5, 10, 20, 30, 40)
COMPLETE, COHORTS = (3, 30), 300
DEFICITS = {"paired": (0.0, 0.01, 0.03, 0.05, 0.10, 0.20), "plain": (0.0, 0.10)}

Searches = list[list[Replayed]]
SIDES: dict[str, Callable[[Sequence[Row]], optuna.pruners.BasePruner]] = {
    "none": lambda rows: optuna.pruners.NopPruner(),
    "paired": lambda rows: PairedParticipantPruner(STUDY.search.metric),
    "clairvoyant": Clairvoyant,
    "median": lambda rows: optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=1),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    cache = Path(tempfile.gettempdir()) / "radsearch-search-table.jsonl"
    parser.add_argument("--table", type=Path, default=cache, help="where the trained space is kept")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    options = parser.parse_args()
    print_audit()
    rows = load_table(options.table)
    describe(rows)
    for sampler in ("tpe", "random"):
        print_searches(rows, sampler, options.seeds)


def print_audit() -> None:
    print("audit: share of simulated trials pruned, by deficit in true AUC (0: every prune is false)")
    for complete in COMPLETE:
        for rule, deficits in DEFICITS.items():
            for deficit in deficits:
                pruned = audit(rule, complete, deficit, COHORTS, seed=0)
                print(f"  {rule}, {complete} complete trials, deficit {deficit:.2f}: {pruned}", flush=True)


def print_searches(rows: Sequence[Row], sampler: str, seeds: int) -> None:
    search = SearchSection(trials=TRIALS, sampler=sampler)
    print(f"\nsearch, sampler {sampler}: {seeds} seeds, {TRIALS} trials each")
    without: Searches = []
    for name, make in SIDES.items():
        searches = [replay(rows, search, make(rows), seed) for seed in range(seeds)]
        without = without or searches  # the first side prunes nothing
        print_side(name, searches, without, max(row.true_auc for row in rows))


def describe(rows: Sequence[Row]) -> None:
    true = np.array([row.true_auc for row in rows])
    values = np.array([row.value for row in rows])
    print(
        f"\ntable: {len(rows)} configurations x {STUDY.validation.folds} folds on {COHORT.participants} "
        f"participants and {COHORT.biopsies} biopsies; true AUC {true.min():.3f} to {true.max():.3f}, median "
        f"{np.median(true):.3f}, {np.sum(true >= true.max() - NEAR)} within {NEAR} of the best; "
        f"correlation with the cross-validated {np.corrcoef(true, values)[0, 1]:.2f}"
    )


def print_side(name: str, searches: Searches, without: Searches, best: float) -> None:
    times = np.array([arrival(search, best) for search in searches])
    base = np.array([arrival(search, best) for search in without])
    trials = [trial for search in searches for trial in search]
    arrived = sum(any(is_arrival(trial, best) for trial in search) for search in searches)
    low, high = spread(base, times)
    print(f"{name}: {arrived} of {len(searches)} arrive, after {times.mean():.1f} s on average")
    print(f"  time without / with pruning {base.mean() / times.mean():.2f} (95 % {low:.2f} to {high:.2f})")
    pruned, good = [t for t in trials if t.is_pruned], [t for t in trials if t.is_as_good]
    if pruned:
        print(
            f"  pruned {len(pruned)} of {len(trials)}; of {len(good)} trials as good as the incumbent, "
            f"{sum(t.is_pruned for t in good)} ({np.mean([t.is_pruned for t in good]):.1%}) falsely; "
            f"false among the pruned {np.mean([t.is_as_good for t in pruned]):.1%}, "
            f"would have led by cross-validation {np.mean([t.would_lead for t in pruned]):.1%}"
        )
    for trials_asked in BUDGETS:
        print(f"  first {trials_asked} trials: {budget(searches, trials_asked)}", flush=True)


def is_arrival(trial: Replayed, best: float) -> bool:
    return not trial.is_pruned and trial.row.true_auc >= best - NEAR


def arrival(search: list[Replayed], best: float) -> float:
    """Seconds until a configuration near the best has completed all folds; all of them if none does."""
    seconds = 0.0
    for trial in search:
        seconds += trial.seconds
        if is_arrival(trial, best):
            break
    return seconds


def spread(base: np.ndarray, times: np.ndarray) -> tuple[float, float]:
    """95 % bootstrap interval over seeds of the ratio of mean times, seeds paired."""
    drawn = np.random.default_rng(0).integers(len(base), size=(2000, len(base)))
    ratios = base[drawn].mean(axis=1) / times[drawn].mean(axis=1)
    low, high = np.quantile(ratios, (0.025, 0.975))
    return float(low), float(high)


def budget(searches: Searches, trials: int) -> str:
    """Folds run, and the true AUC of the trial with the best value, where a study ends after so many."""
    first = [search[:trials] for search in searches]
    run = sum(trial.folds for search in first for trial in search)
    share = run / (STUDY.validation.folds * sum(map(len, first)))
    chosen = [max((t for t in s if not t.is_pruned), key=lambda t: t.row.value).row for s in first]
    true = np.mean([row.true_auc for row in chosen])
    return f"{1 - share:.0%} of the folds saved, the best by value has true AUC {true:.3f}"


if __name__ == "__main__":
    main()
