"""`radsearch submit STUDY.toml --launcher slurm|ray|local`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from data_prep.cohort import read_cohort
from data_prep.problems import Problems
from search.commands.run import trials_link, where_to_look
from search.errors import NothingStartedError
from search.home import Home
from search.launchers.opening import (
    check_reach,
    environment_of,
    launcher_of,
    only_here,
    write_environment,
)
from search.launchers.request import Batch, LaunchRequest, mebibytes
from search.live import PlainLines
from search.saying import say
from search.study_file import Study, read_study
from search.supervisor import RunOptions, create_study

TIME, MEMORY = "04:00:00", "16G"  # of a worker
ROUNDS = 4  # of workers, one after another
WAIT_SECONDS = 600  # for a database that is away when a worker starts: an array is used up in no time
BOOKING_SECONDS = 30  # of a worker that leaves, to put its trial back and tell MLflow


def run(args: argparse.Namespace) -> int:
    """Open the study here, then have workers started."""
    overrides = [*args.set, *([] if args.trials is None else [f"search.trials={args.trials}"])]
    study = read_study(Path(args.study), overrides, Path(args.cohort) if args.cohort else None)
    home, problems = Home.at(args.home), Problems()
    request = _request(args, study, home, problems)
    launcher = launcher_of(args.launcher)
    several = args.launcher == "slurm" or (args.launcher == "ray" and args.address is not None)
    _check_flags(args, several, problems)
    check_reach(args.launcher, several, args.storage, args.tracking_uri, problems)
    launcher.check(request, problems)
    problems.raise_any()
    for line in only_here(args.storage, args.tracking_uri) if several else ():
        sys.stderr.write(f"note: {line}\n")
    if args.dry_run:
        read_cohort(Path(study.cohort or ""))
        say(launcher.plan(request))
        return 0
    launcher.ready(request)
    options = RunOptions(
        storage=args.storage,
        tracking=args.tracking_uri,
        source=Path(args.study).read_text(encoding="utf-8"),
        grace=args.grace,
    )
    give_up = create_study(study, home, options, PlainLines(sys.stderr))
    write_environment(request)
    try:
        code = launcher.launch(request)
    except NothingStartedError:
        give_up()
        raise
    if args.launcher != "slurm":  # whose workers have only been handed over
        _say_where(args, study, home)
    return code


def _say_where(args: argparse.Namespace, study: Study, home: Home) -> None:
    say(f"Look further: radsearch show {study.name}{where_to_look(args)}")
    link = trials_link(args.tracking_uri, study, home)
    if link:
        say(f"              {link}")


def _check_flags(args: argparse.Namespace, several: bool, problems: Problems) -> None:
    """Note flags that would do nothing, as the launcher knows nothing of them."""
    of_slurm = {
        "--time": args.time,
        "--partition": args.partition,
        "--account": args.account,
        "--tasks": args.tasks,
        "--setup": args.setup,
        "--sbatch": args.sbatch,
    }
    given = [name for name, value in of_slurm.items() if value not in (None, [])]
    idle = dict.fromkeys(given if args.launcher != "slurm" else (), "slurm")
    if args.address is not None and args.launcher != "ray":
        idle["--address"] = "ray"
    if args.memory is not None and not several:
        idle["--memory"] = "slurm, or ray with --address"
    for name, meant in idle.items():
        problems.add(name, f"is for --launcher {meant}, but got --launcher {args.launcher}: leave it out")


def _request(args: argparse.Namespace, study: Study, home: Home, problems: Problems) -> LaunchRequest:
    at_once = args.gpus or args.workers
    memory = mebibytes(MEMORY if args.memory is None else args.memory)
    if memory is None:
        problems.add("--memory", f"must be a size such as 16G or 500M, but got {args.memory!r}")
    where = "--require-gpu" if args.gpus else "--gpus="
    leave = max(0, args.notice - BOOKING_SECONDS)
    batch = Batch(
        TIME if args.time is None else args.time,
        args.partition,
        args.account,
        args.tasks or ROUNDS * at_once,
        args.notice,
        tuple(args.setup),
        tuple(args.sbatch),
    )
    return LaunchRequest(
        study=study.name,
        trials=study.search.trials,
        folder=home.study(study.name).root,
        worker=(
            "worker",
            study.name,
            "--workers",
            "1",
            where,
            "--leave-within",
            str(leave),
            "--wait",
            str(WAIT_SECONDS),
        ),
        environment=environment_of(home, args.storage, args.tracking_uri),
        at_once=at_once,
        gpus=1 if args.gpus else 0,
        cpus=args.cpus,
        memory_mb=memory or 0,
        address=args.address,
        batch=batch,
    )
