"""How often a t-test calls what a search selected better than the default, where there is no signal.

    python -m benchmarks.honesty_compare --cohorts 200

The cohorts and the search are those of `benchmarks.honesty`, without signal. What is selected by the search's
own fold table is compared with the first configuration by the corrected resampled t-test: on the folds that
selected it, on the nine other tables of a bank of ten, and by the honest bootstrap's interval. Beside it a
configuration that nobody selected. `radsearch compare` tests the last of these alone.
"""

from __future__ import annotations

import argparse
import os
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.honesty_cohorts import BIOPSIES, PARTICIPANTS, Cohort, draw_cohort
from benchmarks.honesty_models import FOLDS, Configurations, run_search
from data_prep.folds import FoldTable, make_folds
from search.metrics import Doubles
from search.statistics.comparison import corrected_t
from search.statistics.fold_values import fold_values
from search.statistics.honest import estimate_of
from search.statistics.predictions import Predictions
from search.statistics.selection import Rule, combined, select

COHORTS, CONFIGURATIONS, TABLES, DRAWS, WORKERS = 200, 100, 10, 300, 2
UNSELECTED = 7  # any but the default
METRIC, RATIO = "roc_auc", 1 / (FOLDS - 1)
OWN, OTHERS = slice(0, FOLDS), slice(FOLDS, FOLDS * TABLES)


def bank_of(cohort: Cohort, search: Predictions, configurations: Configurations, seed: int) -> Predictions:
    """The predictions of every configuration on ten fold tables, the search's own first."""
    people = [f"p{who:04}" for who in cohort.participant]
    biopsies = [f"b{row:04}" for row in range(len(people))]
    table: FoldTable = make_folds(biopsies, people, cohort.label, FOLDS, TABLES, seed)
    probability = np.full((CONFIGURATIONS, TABLES, len(people)), np.nan)
    for split in table.splits():
        rows = split.train
        train = Cohort(cohort.feature[rows], cohort.label[rows], cohort.participant[rows])
        probability[:, split.repeat, split.test] = configurations.scores(train, cohort.feature[split.test])
    return Predictions(
        np.tile(cohort.label, (TABLES, 1)),
        cohort.participant,
        table.fold,
        probability,
        np.full_like(probability, 0.5),
        search.trials,
        search.settings,
        search.parameters,
        search.default,
        search.handed_out,
    )


def run_cohort(seed: int) -> dict[str, bool]:
    """Whether each way calls a configuration better than the default; of one that is unselected, or worse."""
    rng = np.random.default_rng([seed, False])
    cohort = draw_cohort(rng, PARTICIPANTS, BIOPSIES, False)
    configurations = Configurations.draw(rng, CONFIGURATIONS)
    search = run_search(cohort, configurations, seed)
    bank = bank_of(cohort, search, configurations, seed)
    default = fold_values(bank.outputs(0), METRIC)
    called = {}
    for name in ("rank-average", "argmax"):
        members = select(Rule(name), search, METRIC)
        lead = fold_values(combined(bank, members), METRIC) - default
        called[f"{name}, folds of the search"] = is_called(lead[OWN], one_sided=True)
        called[f"{name}, nine other tables"] = is_called(lead[OTHERS], one_sided=True)
        honest = estimate_of(search, Rule(name), METRIC, DRAWS, 0).tuned_minus_default
        called[f"{name}, honest bootstrap"] = honest is not None and honest.low > 0
    lead = fold_values(bank.outputs(UNSELECTED), METRIC) - default
    called["unselected, folds of the search (better or worse)"] = is_called(lead[OWN], one_sided=False)
    called["unselected, nine other tables (better or worse)"] = is_called(lead[OTHERS], one_sided=False)
    return called


def is_called(differences: Doubles, one_sided: bool) -> bool:
    """Whether the corrected t-test calls it at 5 %."""
    found = corrected_t(differences[~np.isnan(differences)], RATIO)
    return not found.indistinguishable and (found.difference > 0 or not one_sided)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cohorts", type=int, default=COHORTS, help="without signal")
    parser.add_argument("--workers", type=int, default=WORKERS, help="processes")
    options = parser.parse_args()
    with ProcessPoolExecutor(options.workers, initializer=_be_modest) as pool:
        futures = [pool.submit(run_cohort, seed) for seed in range(options.cohorts)]
        for done, _ in enumerate(as_completed(futures), start=1):
            print(f"compare: cohort {done} of {options.cohorts}", end="\r", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    called = [future.result() for future in futures]
    for way in called[0]:
        print(f"{way}: {sum(one[way] for one in called)} of {options.cohorts}")


def _be_modest() -> None:
    os.nice(19)
    threadpool_limits(1)


if __name__ == "__main__":
    main()
