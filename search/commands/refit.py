"""`radsearch refit STUDY`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from data_prep.problems import InputError
from search.cli import EXIT_CANNOT_GO_ON
from search.deployment.building import build_model, check_buildable
from search.deployment.made import made_record, made_tables
from search.deployment.model import Model
from search.deployment.plan import RefitPlan, check_as_booked, check_fitted, plan_refit
from search.deployment.registering import Registered, register
from search.deployment.versions import check_name
from search.errors import StudyStoppedError
from search.explaining.effort import LIMIT_SECONDS
from search.home import Home
from search.opening import study_id
from search.placement import Placement
from search.recorded import material_of, recorded_study
from search.refits.crew import missing_fits, run_fits
from search.refits.fit import Fit
from search.refits.forecast import duration, fits_counted, forecast, pace_of, seconds_of
from search.refits.ledger import FitLedger
from search.storage import storage_told
from search.terminal import counting, placed, say
from search.tracking_uri import check_uri

LEDGER = "refit.jsonl"


@storage_told()
def run(args: argparse.Namespace) -> int:
    """Make a model folder of what a study selects; a fit whose model is there is never run twice."""
    home, name = Home.at(args.home), args.name or args.study
    placements = placed(args.workers, args.gpus, args.slots_per_gpu, args.require_gpu)
    out = None if args.out is None else Path(args.out)
    _check(args, name, out)
    recorded, study = recorded_study(home, args.storage, args.study, args.cohort)
    home.check_writable(study.name)
    with counting("reading volumes: participant") as progress:
        material = material_of(study, recorded, home, progress)
    plan = plan_refit(recorded, study, material, args.trial, args.seeds, args.skip_folds)
    with FitLedger.open(home.study(study.name).root / "refits" / LEDGER, plan.context) as ledger:
        explained, where = not args.skip_explanations, placements[0]
        check_buildable(plan, ledger, name, out, explained)
        missing = missing_fits(plan.fits, ledger, study, home)
        seconds = seconds_of((fit.config for fit in missing), pace_of(recorded))
        _tell(f"{_told(plan)}: {_to_come(len(plan.fits), len(missing), seconds, len(placements))}")
        _tell(f"then {_afterwards(bool(plan.folds) and not args.skip_explanations)}")
        remarks = _fitted(plan, ledger, home, placements)
        model, verification = build_model(plan, ledger, recorded, home, name, out, where, explained)
    registered, failure = None, None
    if not args.skip_registering:
        registered, failure = _registered(model, home, study.name, study_id(recorded), args.tracking_uri)
    _show(args.json, made_record(model, verification, registered), remarks)
    if failure is None:
        return 0
    _tell(
        f"{failure}. The model is whole in {model.folder} and was not registered: the same call registers it"
    )
    return EXIT_CANNOT_GO_ON


def _check(args: argparse.Namespace, name: str, out: Path | None) -> None:
    """Refuse what could only fail after hours of fits."""
    check_name(name)
    if args.tracking_uri is not None:
        check_uri(args.tracking_uri)
    if out is None or not out.exists():
        return
    if not out.is_dir() or (any(out.iterdir()) and not (out / "model.json").is_file()):
        raise InputError(f"--out: an absent or empty folder is needed, but {out} has something else in it")


def _told(plan: RefitPlan) -> str:
    """What is fitted, in words."""
    trials = ", ".join(map(str, plan.trials))
    how = "as asked for" if plan.rule == "named" else f"selected by {plan.rule}"
    epochs = [f"{count} epoch{'' if count == 1 else 's'}" for count in plan.epochs if count is not None]
    trained = f"; networks on all biopsies for {', '.join(dict.fromkeys(epochs))}" if epochs else ""
    return f"{plan.study.name}, trial{'' if len(plan.trials) == 1 else 's'} {trials}, {how}{trained}"


def _to_come(fits: int, missing: int, seconds: float | None, workers: int) -> str:
    """How many fits there are, and about how long those take that are missing."""
    if not missing:
        return f"{fits} fits, all of them kept from before"
    return forecast(fits, fits - missing, seconds, workers)


def _afterwards(explained: bool) -> str:
    """What follows the fits, and how long the longest part of it may take."""
    explaining = f"explaining the model (at most about {duration(LIMIT_SECONDS)}), " if explained else ""
    return f"{explaining}asking it again in a fresh process"


def _fitted(plan: RefitPlan, ledger: FitLedger, home: Home, placements: tuple[Placement, ...]) -> list[str]:
    """Run all fits, first one of each configuration, which tells whether it can be made; returns remarks."""
    of_folds = [fit for fits in plan.folds for fit in fits]
    on_all = [fit for fits in plan.final for fit in fits]

    def fit(what: str, fits: Sequence[Fit]) -> None:
        if fits:
            with fits_counted(what) as progress:
                run_fits(fits, ledger, plan.study, home, plan.material, placements, progress)
            check_fitted(plan, ledger)

    fit("fits, one of each configuration:", plan.firsts)
    fit("fits of the folds:", of_folds)
    remarks = check_as_booked(plan, ledger)
    fit("fits on all biopsies:", on_all)
    return remarks


def _registered(
    model: Model, home: Home, study: str, identity: str, tracking_uri: str | None
) -> tuple[Registered | None, str | None]:
    """What MLflow has of it now; without MLflow, why there is nothing."""
    try:
        with counting("registering: file") as progress:
            return register(model, home, study, identity, tracking_uri, progress), None
    except StudyStoppedError as error:
        return None, str(error)


def _show(as_json: bool, record: dict[str, Any], remarks: list[str]) -> None:
    if as_json:
        sys.stdout.write(json.dumps(record | {"remarks": remarks}, indent=2, allow_nan=False) + "\n")
        return
    console = Console()
    for table in made_tables(record):
        console.print(table)
    for line in (*remarks, f"Intended use: {record['model']['intended_use']}."):
        say(line)


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
