"""How often the printed claim is false: cohorts without any signal, each through the command line.

Each cohort is a phantom whose labels follow fields that the images do not show, so that every claim is false.
`radsearch run` searches the shallow models over it as a user would, with the default sampler, pruner and
selection rule; `radsearch show --json` says what it claims. Beside it stands what is usually done: the best
trial, tested against .5 by its clustered variance as if it were the only one.

    null_cohorts.py                                40 cohorts, 2 side by side
    null_cohorts.py --cohorts 4 --keep FOLDER      keeps what was made; what is there is not run again
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from scipy.stats import binom, norm, rankdata

from search.home import Home
from search.metrics import Scores, pooled_metrics
from search.statistics.clustered import clustered_auc
from search.statistics.predictions import Outputs, predictions_of
from search.storage import open_to_read

NOMINAL = 0.05
TRIALS, SIZE = 24, 32  # voxels of 1 mm: the least that keeps the sites of 8 biopsies apart is 28
STUDY = """
name = "null"
cohort = "cohort"
[search]
trials = {trials}
seed = {seed}
enqueue = [{{ architecture = "roi_means", patch_radius = 5 }}]
[space]
architecture = ["constant", "location", "missingness", "roi_means", "texture_logistic"]
patch_radius = {{ low = 2, high = 8 }}
regularisation = {{ low = 0.01, high = 100.0, log = true }}
"""


@dataclass(frozen=True)
class Verdict:
    """What was said of one cohort without signal.

    Attributes:
        seed: The cohort's.
        claim: Whether `radsearch show` claims a signal.
        estimate: Its honest estimate.
        lower: The one-sided 95 % bound of it.
        best: The within-fold AUC of the best trial.
        naive_claim: Whether the best trial, tested as if it were the only one, would be called a signal.
        seconds: Of phantom and search; 0 where they were kept from before.
    """

    seed: int
    claim: bool
    estimate: float
    lower: float
    best: float
    naive_claim: bool
    seconds: float


def verdict_of(seed: int, folder: Path, trials: int = TRIALS, size: int = SIZE) -> Verdict:
    """Make a cohort without signal in a folder, search over it, and read what is claimed.

    Args:
        seed: Of the cohort and of the search.
        folder: Takes the cohort, the study file and the home; a search that is there is not run again.
        trials: Of the search.
        size: Of the cohort's volumes, in voxels along each edge.
    """
    started = time.monotonic()
    is_there = (folder / "done").exists()
    if not is_there:
        _search(seed, folder, trials, size)
    seconds = 0.0 if is_there else time.monotonic() - started
    shown = json.loads(_radsearch(folder, "show", "null", "--home", "home", "--json"))
    honest = shown["honest"]
    best, naive_claim = naive_test(_best_outputs(folder / "home", shown["best_trial"]))
    estimate, lower = honest["estimate"], honest["lower"]
    return Verdict(seed, bool(honest["claim"]), estimate, lower, best, naive_claim, seconds)


def _search(seed: int, folder: Path, trials: int, size: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "cohort" / "cohort.toml").exists():
        options = ("--signal", "none", "--seed", str(seed), "--size", str(size))
        _radsearch(folder, "phantom", "cohort", *options)
    answers = json.loads((folder / "cohort" / "truth" / "answers.json").read_text())
    if answers["auc_bayes"] != 0.5 or answers["auc_bayes_within"] != 0.5:
        sys.exit(f"{folder}: a cohort without signal must have a best AUC of .5, but got {answers}")
    (folder / "study.toml").write_text(STUDY.format(trials=trials, seed=seed))
    _radsearch(folder, "run", "study.toml", "--home", "home")
    (folder / "done").touch()


def _radsearch(folder: Path, *args: str) -> str:
    """Run the command line as a user would; what it prints."""
    program = str(Path(sys.executable).with_name("radsearch"))
    done = subprocess.run([program, *args], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{folder}: radsearch {' '.join(args)} failed:\n{done.stderr[-2000:]}")
    return done.stdout


def _best_outputs(home: Path, trial: int) -> Outputs:
    storage = open_to_read(None, Home.at(home))
    predictions = predictions_of(optuna.load_study(study_name="null", storage=storage))
    if predictions is None:
        sys.exit(f"{home}: a complete trial is needed, but there is none")
    return predictions.outputs(predictions.trials.index(trial))


def naive_test(outputs: Outputs) -> tuple[float, bool]:
    """The AUC within folds of one trial, and whether it is above .5 for who forgets that it was chosen.

    Ranks within the folds are tested one-sided by Obuchowski's clustered variance.
    """
    scores = [_fold(outputs, fold) for fold in range(int(outputs.fold.max()) + 1)]
    auc = pooled_metrics(scores)["roc_auc"]
    label, participant = (
        np.concatenate([getattr(s, name) for s in scores]) for name in ("label", "participant")
    )
    ranks = np.concatenate([rankdata(s.probability) / (1 + len(s.probability)) for s in scores])
    tested, variance = clustered_auc(label, ranks, participant)
    if auc is None or tested is None or variance is None:
        sys.exit("both classes are needed in two participants or more")
    return auc, tested - float(norm.ppf(1 - NOMINAL)) * variance**0.5 > 0.5


def _fold(outputs: Outputs, fold: int) -> Scores:
    held_out = outputs.fold[0] == fold
    return Scores(outputs.label[0, held_out], outputs.score[0, held_out], outputs.participant[held_out], 0.5)


def verdicts_of(
    seeds: Sequence[int], folder: Path, processes: int, trials: int = TRIALS, size: int = SIZE
) -> list[Verdict]:
    """The verdicts on several cohorts, side by side, each told as it is there."""
    found = list[Verdict]()
    with ThreadPoolExecutor(processes) as pool:
        jobs = [pool.submit(verdict_of, seed, folder / f"{seed:03d}", trials, size) for seed in seeds]
        for job in as_completed(jobs):
            found.append(job.result())
            print(f"{len(found)} of {len(seeds)}: {found[-1]}", flush=True)
    return sorted(found, key=lambda verdict: verdict.seed)


def allowed(cohorts: int) -> int:
    """The largest number of false claims that a claim at 5 % exceeds in at most 5 % of such benchmarks.

    >>> allowed(40), allowed(20), allowed(200)
    (4, 3, 15)
    """
    return int(binom.ppf(1 - NOMINAL, cohorts, NOMINAL))


def summary(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """The figures of the benchmark."""
    return {
        "cohorts": len(verdicts),
        "false claims": sum(verdict.claim for verdict in verdicts),
        "allowed": allowed(len(verdicts)),
        "naive false claims": sum(verdict.naive_claim for verdict in verdicts),
        "mean honest estimate": float(np.mean([verdict.estimate for verdict in verdicts])),
        "mean AUC of the best trial": float(np.mean([verdict.best for verdict in verdicts])),
        "seconds a cohort": float(np.median([verdict.seconds for verdict in verdicts])),
    }


def main() -> int:
    """Run the benchmark; 1 where there are more false claims than chance allows."""
    parser = argparse.ArgumentParser(description="how often a study of noise claims a signal")
    parser.add_argument("--cohorts", type=int, default=40)
    parser.add_argument("--first", type=int, default=0, help="seed of the first cohort")
    parser.add_argument("--trials", type=int, default=TRIALS)
    parser.add_argument("--size", type=int, default=SIZE, help="voxels along each edge of the volumes")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="folder that keeps cohorts and homes")
    args = parser.parse_args()
    seeds = range(args.first, args.first + args.cohorts)
    with tempfile.TemporaryDirectory() as folder:
        place = (args.keep or Path(folder)).absolute()
        found = summary(verdicts_of(seeds, place, args.processes, args.trials, args.size))
    for name, value in found.items():
        print(f"{name}: {value:.3f}" if isinstance(value, float) else f"{name}: {value}")
    return 0 if found["false claims"] <= found["allowed"] else 1


if __name__ == "__main__":
    sys.exit(main())
