"""`radsearch rescore STUDY`."""

from __future__ import annotations

import argparse
import json
import math
import sys
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from search.home import Home
from search.metrics import DIRECTIONS
from search.placement import Placement
from search.recorded import material_of, recorded_study
from search.refits.crew import run_fits
from search.refits.fit import context_of
from search.refits.forecast import duration, fits_counted
from search.refits.ledger import FitLedger
from search.refits.rescore import Plan, check_repeated, plan_of, scores_of
from search.refits.rescored import Finalist, SchemeScores, write_scores
from search.storage import storage_told
from search.tables import network, number
from search.terminal import counting, placed, say

LEDGER = "rescore.jsonl"


@storage_told()
def run(args: argparse.Namespace) -> int:
    """Score the finalists of a study on other splits and seeds; a fit that is finished is never run twice."""
    home = Home.at(args.home)
    placements = placed(args.workers, args.gpus, args.slots_per_gpu, args.require_gpu)
    recorded, study = recorded_study(home, args.storage, args.study, args.cohort)
    with counting("reading volumes: participant") as progress:
        material = material_of(study, recorded, home, progress)
    folder = home.study(study.name)
    plan = plan_of(recorded, study, material, folder, args.scheme, args.top, args.seeds, args.tables)
    with FitLedger.open(folder.root / "refits" / LEDGER, context_of(study, material)) as ledger:
        _tell(forecast(plan, ledger, len(placements)))
        remarks = _fitted(plan, ledger, home, placements)
        scores = scores_of(plan, ledger)
    write_scores(scores, folder)
    if args.json:
        sys.stdout.write(json.dumps(summary(scores, study.name), indent=2, allow_nan=False) + "\n")
    else:
        Console().print(scores_table(scores, study.name))
    for line in (*remarks, *notes(plan.shortage, scores)):
        _tell(line) if args.json else say(line)
    return 0


def _fitted(plan: Plan, ledger: FitLedger, home: Home, placements: tuple[Placement, ...]) -> list[str]:
    """Run all fits, those first that show whether the search can be compared with; returns remarks."""
    own = [fit for _, _, fit in plan.repeated()]
    with fits_counted("fits that the search has made before:") as progress:
        run_fits(own, ledger, plan.study, home, plan.material, placements, progress)
    remarks = check_repeated(plan, ledger)
    with fits_counted("fits:") as progress:
        run_fits(plan.fits, ledger, plan.study, home, plan.material, placements, progress)
    return remarks


def forecast(plan: Plan, ledger: FitLedger, workers: int) -> str:
    """How many fits there will be, and about how long they take."""
    fits, folds = plan.fits, len(plan.scheme.splits)
    missing = sum(fit not in ledger for fit in fits)
    parts = (_of(len(plan.candidates), "finalist"), _of(folds, "fold"), _of(plan.seeds, "seed"))
    told = f"{plan.scheme.title}: {len(fits)} fits ({' x '.join(parts)})"
    if not missing:
        return f"{told}, all of them kept from before"
    seconds = duration(plan.seconds_left(ledger) / workers)
    return (
        f"{told}, {len(fits) - missing} of them kept from before; by what the search's own folds took, about "
        f"{seconds} with {_of(workers, 'process', 'es')}"
    )


def _of(count: int, what: str, plural: str = "s") -> str:
    return f"{count} {what}{'' if count == 1 else plural}"


def scores_table(scores: SchemeScores, study: str) -> Table:
    """A row a finalist, the best mean first; those without one last."""
    metric = scores.metric
    averaged = "1 seed" if scores.seeds == 1 else f"mean of {scores.seeds} seeds"
    what = f"{study}: {metric.replace('_', ' ')} of the finalists, {averaged}"
    table = Table(title=f"{what}\n{scores.title}", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.padding = (0, 1, 0, 0)
    table.add_column("trial", no_wrap=True)
    table.add_column("architecture", min_width=11)
    for column in ("mean", "sd", "lowest", "highest", "own", "own - mean"):
        table.add_column(column, justify="right", no_wrap=True)
    for finalist in sorted(scores.finalists, key=lambda one: _rank(one.mean(metric), metric)):
        table.add_row(*_cells(finalist, metric))
    return table


def _rank(mean: float | None, metric: str) -> float:
    """The lower, the better; of no value, the worst."""
    if mean is None:
        return math.inf
    return -mean if DIRECTIONS[metric] == "maximize" else mean


def _cells(finalist: Finalist, metric: str) -> list[str]:
    values, regression = finalist.values(metric), finalist.regression(metric)
    return [
        f"{finalist.trial}{' (default)' if finalist.is_default else ''}",
        network(finalist.settings),
        number(finalist.mean(metric)),
        number(finalist.sd(metric)),
        number(min(values, default=None)),
        number(max(values, default=None)),
        number(finalist.own),
        "-" if regression is None else f"{regression:+.3f}",
    ]


def notes(shortage: str | None, scores: SchemeScores) -> list[str]:
    """What the table does not say, and what the bank is short of."""
    lines = []
    if shortage:
        lines.append(f"The bank has {shortage}.")
    for finalist in scores.finalists:
        lines += [f"trial {finalist.trial}: a model could not be fitted: {why}" for why in finalist.failures]
    if scores.scheme == "bank":
        lines.append(
            f"own: the value in the search. What it has {_better_than(scores.metric)} the mean was luck of "
            "one fold table and seed (regression to the mean). That trials were picked on these biopsies, "
            "the honest estimate alone corrects: `radsearch show`."
        )
    return lines


def _better_than(metric: str) -> str:
    return "above" if DIRECTIONS[metric] == "maximize" else "below"


def summary(scores: SchemeScores, study: str) -> dict[str, Any]:
    """What `--json` prints: everything but the out-of-fold predictions."""
    metric, record = scores.metric, scores.as_json()
    finalists = []
    for finalist, told in zip(scores.finalists, record["finalists"], strict=True):
        values = finalist.values(metric)
        finalists.append(
            {name: value for name, value in told.items() if name != "folds"}
            | {
                "mean": finalist.mean(metric),
                "sd": finalist.sd(metric),
                "lowest": min(values, default=None),
                "highest": max(values, default=None),
                "own_minus_mean": finalist.regression(metric),
            }
        )
    return {**record, "study": study, "finalists": finalists}


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
