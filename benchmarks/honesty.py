"""What the honest estimate claims of searches without and with signal, beside the naive best of the same.

    python -m benchmarks.honesty --cohorts 200 --out honesty.json

Each cohort has 45 participants and 150 biopsies of a feature-level phantom (`honesty_cohorts`), searched by
100 ridge regressions (`honesty_models`). Without signal it counts false claims; with signal, how often the
printed 95 % intervals hold the truth, by how much the estimates are off, and which rule selects best.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path

import numpy as np
from scipy.stats import binomtest
from threadpoolctl import threadpool_limits

from benchmarks.honesty_cohorts import best_auc
from benchmarks.honesty_trial import Outcome, Printed, run_cohort
from search.statistics.selection import RULES

COHORTS, DRAWS, WORKERS = 200, 1000, 2
DEFAULT_RULE = "rank-average"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cohorts", type=int, default=COHORTS, help="without, and as many with signal")
    parser.add_argument("--draws", type=int, default=DRAWS, help="of participants in each estimate")
    parser.add_argument("--seed", type=int, default=0, help="of the first cohort")
    parser.add_argument("--workers", type=int, default=WORKERS, help="processes")
    parser.add_argument("--out", type=Path, help="every cohort's figures as JSON")
    options = parser.parse_args()
    outcomes = simulate(options.cohorts, options.draws, options.seed, options.workers)
    if options.out:
        options.out.write_text(json.dumps([asdict(outcome) for outcome in outcomes], indent=1) + "\n")
    print("\n".join(summary(outcomes)))


def simulate(cohorts: int, draws: int, seed: int, workers: int) -> list[Outcome]:
    """Run as many cohorts without as with signal, in processes of their own."""
    tasks = [(seed + number, signal, draws) for signal in (False, True) for number in range(cohorts)]
    with ProcessPoolExecutor(workers, initializer=_be_modest) as pool:
        futures = [pool.submit(run_cohort, *task) for task in tasks]
        for done, _ in enumerate(as_completed(futures), start=1):
            print(f"honesty: cohort {done} of {len(tasks)}", end="\r", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return [future.result() for future in futures]


def _be_modest() -> None:
    os.nice(19)
    threadpool_limits(1)


def summary(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """The lines of the table."""
    null = [outcome for outcome in outcomes if not outcome.signal]
    signal = [outcome for outcome in outcomes if outcome.signal]
    yield f"without signal, {len(null)} cohorts: false claims at the one-sided 5 % level"
    for name in null[0].naive_claims:
        yield f"  best trial, {name}: {_share([outcome.naive_claims[name] for outcome in null])}"
    for rule in RULES:
        yield f"  honest, {rule}: {_share([outcome.printed[rule].claim for outcome in null])}"
    yield f"  mean AUC: best trial {_mean([outcome.naive for outcome in null])}, " + ", ".join(
        f"honest {rule} {_mean(_column(null, rule, lambda said: said.estimate))}" for rule in RULES
    )
    yield (
        f"\nwith signal, {len(signal)} cohorts: best possible AUC {best_auc():.3f}; of the configurations, "
        f"the best {_mean([outcome.configuration_best for outcome in signal])}, the average "
        f"{_mean([outcome.configuration_mean for outcome in signal])}"
    )
    yield f"  best trial's own value: {_mean([outcome.naive for outcome in signal])}, off by " + _mean(
        [outcome.naive - outcome.naive_true for outcome in signal]
    )
    for rule in RULES:
        yield from _of_rule(signal, rule)


def _of_rule(signal: Sequence[Outcome], rule: str) -> Iterator[str]:
    def column(value: Callable[[Printed], float]) -> list[float]:
        return _column(signal, rule, value)

    yield f"  {rule}: true AUC {_mean(column(lambda said: said.true))}"
    yield (
        f"    estimate {_mean(column(lambda said: said.estimate))}, off by "
        f"{_mean(column(lambda said: said.estimate - said.true))}; interval of width "
        f"{_mean(column(lambda said: said.high - said.low))} holds the truth in "
        f"{_share(column(lambda said: said.low <= said.true <= said.high))}; claims "
        f"{_share(column(lambda said: said.claim))}"
    )
    yield (
        f"    tuned minus default: true {_mean(column(lambda said: said.true_difference))}, off by "
        f"{_mean(column(lambda said: said.difference - said.true_difference))}; interval holds the truth in "
        f"{_share(column(lambda said: said.difference_low <= said.true_difference <= said.difference_high))}"
    )
    if rule != DEFAULT_RULE:
        gain = [o.printed[DEFAULT_RULE].true - o.printed[rule].true for o in signal]
        better, worse = sum(g > 0 for g in gain), sum(g < 0 for g in gain)
        yield f"    {DEFAULT_RULE} is better by {_mean(gain)}: in {better} cohorts, worse in {worse}"


def _column(outcomes: Sequence[Outcome], rule: str, value: Callable[[Printed], float]) -> list[float]:
    return [value(outcome.printed[rule]) for outcome in outcomes]


def _mean(values: Sequence[float]) -> str:
    """Mean and its standard error."""
    error = np.std(values, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return f"{np.mean(values):+.4f} (SE {error:.4f})"


def _share(values: Sequence[float]) -> str:
    """How many, with the exact 95 % interval of the rate (Clopper and Pearson)."""
    count = int(sum(values))
    low, high = binomtest(count, len(values)).proportion_ci()
    return f"{count} of {len(values)} ({count / len(values):.1%}, 95 % {low:.1%} to {high:.1%})"


if __name__ == "__main__":
    main()
