"""`radsearch run STUDY.toml`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path

from rich.console import Console

from search.audit import SUSPICIOUS_AUC
from search.audit.auditing import run_audit
from search.audit.looks import look_at
from search.audit.record import write_audit
from search.commands.audit import audit_table
from search.commands.audit import verdict as verdict_of
from search.home import Home
from search.links import is_server, trial_runs_url
from search.live import LiveTable, PlainLines
from search.metrics import DIRECTIONS
from search.patient import StorageAwayError
from search.placement import note_on, place
from search.report.audited import is_due
from search.results import study_record
from search.run_ids import EXPERIMENT, RunIds
from search.study_file import Study, read_study
from search.supervisor import Outcome, RunOptions, run_study
from search.tables import trials_table
from search.terminal import counting, say
from search.tracking_uri import without_password
from search.verdict import verdict


def run(args: argparse.Namespace) -> int:
    """Run a study to its number of trials, then say what was found and where to look further."""
    overrides = [*args.set, *([] if args.trials is None else [f"search.trials={args.trials}"])]
    study = read_study(Path(args.study), overrides, Path(args.cohort) if args.cohort else None)
    home = Home.at(args.home)
    placements = place(args.workers, args.gpus, args.slots_per_gpu, args.require_gpu)
    options = RunOptions(
        storage=args.storage,
        tracking=args.tracking_uri,
        timeout=args.timeout,
        grace=args.grace,
        source=Path(args.study).read_text(encoding="utf-8"),
        placements=placements,
        notes=tuple(note_on(placements, args.gpus)),
    )
    console = Console(stderr=True)
    minimize = DIRECTIONS[study.search.metric] == "minimize"
    with LiveTable(console, minimize) if console.is_terminal else PlainLines(sys.stderr) as listener:
        outcome = run_study(study, home, options, listener)
    try:
        _conclude(args, study, home, outcome)
    except StorageAwayError as error:
        if not outcome.signalled:
            raise
        say(str(error))
    if not outcome.signalled and is_due(outcome.study, study, home):
        _audit(outcome, study, home)
    return 128 + outcome.signalled if outcome.signalled else 0


def _conclude(args: argparse.Namespace, study: Study, home: Home, outcome: Outcome) -> None:
    console = Console()
    record = study_record(outcome.study, home, args.tracking_uri)
    console.print(trials_table(record))
    console.print(verdict(record))
    if record["selected"]["trials"]:
        look_at(outcome.study, home, "run")
    if outcome.undelivered:
        say(
            f"MLflow has not taken {outcome.undelivered} events yet; "
            "they wait in the home and go out at the next run"
        )
    where = where_to_look(args)
    if outcome.signalled or outcome.timed_out:
        how = signal.Signals(outcome.signalled).name if outcome.signalled else "the time limit"
        say(f"Stopped by {how}, everything booked. The same command continues the study.")
    say(f"Look further: radsearch ui{where}")
    link = trials_link(args.tracking_uri, study, home)
    if link:
        say(f"              {link}")
    say(f"              radsearch show {study.name}{where}")


def _audit(outcome: Outcome, study: Study, home: Home) -> None:
    """What nobody asked for, but has to be looked at before such a result is told to anybody."""
    say(
        f"An AUC above {SUSPICIOUS_AUC:.2f} with whole participants held out is more often a leak than a "
        "discovery. The audit:"
    )
    with counting("audit: step") as progress:
        audit = run_audit(outcome.study, study, home, progress)
    write_audit(home.study(study.name), audit)
    Console().print(audit_table(audit))
    say(verdict_of(audit))


def where_to_look(args: argparse.Namespace) -> str:
    """The flags by which other commands find the study; a password is left to whoever types them."""
    home = f" --home {args.home}" if args.home else ""
    is_set = args.storage in (None, os.environ.get("RADSEARCH_STORAGE"))
    return home if is_set else f"{home} --storage {without_password(args.storage)}"


def trials_link(uri: str | None, study: Study, home: Home) -> str | None:
    """The page of the study's trials on a tracking server, the best first; None for a database."""
    metric = study.search.metric
    if uri is None or not is_server(uri):
        return None
    experiment = RunIds(home.study(study.name).spool, uri, study.name).get(EXPERIMENT)
    return experiment and trial_runs_url(uri, experiment, metric, DIRECTIONS[metric] == "minimize")
