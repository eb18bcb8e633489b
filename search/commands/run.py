"""`radsearch run STUDY.toml`."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from rich.console import Console

from search.home import Home
from search.live import LiveTable, PlainLines
from search.metrics import DIRECTIONS
from search.placement import place
from search.results import study_record
from search.study_file import Study, read_study
from search.supervisor import Outcome, RunOptions, run_study
from search.tables import trials_table
from search.terminal import say


def run(args: argparse.Namespace) -> int:
    """Run a study to its number of trials, then say what was found and where to look further."""
    overrides = [*args.set, *([] if args.trials is None else [f"search.trials={args.trials}"])]
    study = read_study(Path(args.study), overrides, Path(args.cohort) if args.cohort else None)
    home = Home.at(args.home)
    options = RunOptions(args.storage, args.tracking_uri, args.timeout, place(args.workers, args.gpus))
    console = Console(stderr=True)
    minimize = DIRECTIONS[study.search.metric] == "minimize"
    with LiveTable(console, minimize) if console.is_terminal else PlainLines(sys.stderr) as listener:
        outcome = run_study(study, home, options, listener)
    _conclude(args, study, home, outcome)
    return 128 + outcome.signalled if outcome.signalled else 0


def _conclude(args: argparse.Namespace, study: Study, home: Home, outcome: Outcome) -> None:
    console = Console()
    record = study_record(outcome.study, home, args.tracking_uri)
    console.print(trials_table(record))
    if outcome.undelivered:
        say(
            f"MLflow has not taken {outcome.undelivered} events yet; "
            "they wait in the home and go out at the next run"
        )
    where = f" --home {args.home}" if args.home else ""
    if outcome.signalled or outcome.timed_out:
        how = signal.Signals(outcome.signalled).name if outcome.signalled else "the time limit"
        say(f"Stopped by {how}, everything booked. The same command continues the study.")
    say(f"Look further: radsearch ui{where}")
    say(f"              radsearch show {study.name}{where}")
