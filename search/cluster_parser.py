"""Flags of the commands that spread a study over machines: `worker`, `submit`, `server`."""

from __future__ import annotations

import argparse

from search.flags import (
    Commands,
    add_cohort,
    add_grace,
    add_home,
    add_machine,
    add_set,
    add_tracking,
    at_least,
)

LAUNCHERS = ("slurm", "ray", "local")
LEAVE_SECONDS = 90  # SLURM's signal comes 120 s before the limit


def add_cluster(commands: Commands) -> None:
    """Add the three commands."""
    _add_worker(commands)
    _add_submit(commands)
    _add_server(commands)


def _add_worker(commands: Commands) -> None:
    parser = commands.add_parser("worker", help="join a running study, from another terminal or node")
    parser.add_argument("study", metavar="STUDY", help="the study's name")
    add_cohort(parser)
    add_machine(parser)
    parser.add_argument("--timeout", type=at_least(1), metavar="S", help="leave after S seconds")
    parser.add_argument(
        "--leave-within",
        type=at_least(0),
        default=LEAVE_SECONDS,
        metavar="S",
        help=f"after SIGTERM, finish the running fold if it ends within S seconds (default: {LEAVE_SECONDS})",
    )
    parser.add_argument(
        "--wait",
        type=at_least(0),
        default=0,
        metavar="S",
        help="where storage or MLflow do not answer at the start, try again for S seconds (default: 0)",
    )
    parser.add_argument("--cache", metavar="DIR", help="keep patches here, on a disk of this machine")
    add_home(parser)
    add_tracking(parser)


def _add_submit(commands: Commands) -> None:
    parser = commands.add_parser("submit", help="run a study on a cluster: SLURM, Ray, or processes here")
    parser.add_argument("study", metavar="STUDY.toml", help="what to search, on which cohort, and how")
    parser.add_argument("--launcher", choices=LAUNCHERS, required=True, help="what starts the workers")
    many = parser.add_mutually_exclusive_group(required=True)
    many.add_argument("--gpus", type=at_least(1), metavar="N", help="workers at a time, each with one GPU")
    many.add_argument("--workers", type=at_least(1), metavar="N", help="workers at a time, without GPUs")
    parser.add_argument(
        "--cpus", type=at_least(1), default=4, metavar="N", help="cores a worker (default: 4)"
    )
    parser.add_argument("--memory", metavar="SIZE", help="memory a worker, on a cluster (default: 16G)")
    parser.add_argument("--trials", type=at_least(1), metavar="N", help="trials in all")
    parser.add_argument("--dry-run", action="store_true", help="print what would be submitted, and stop")
    slurm = parser.add_argument_group("slurm")
    slurm.add_argument("--time", metavar="LIMIT", help="of a worker (default: 04:00:00)")
    slurm.add_argument("--partition", metavar="NAME", help="where to run")
    slurm.add_argument("--account", metavar="NAME", help="who pays")
    slurm.add_argument(
        "--tasks", type=at_least(1), metavar="N", help="workers one after another, in all (default: 4 rounds)"
    )
    slurm.add_argument(
        "--notice",
        type=at_least(1),
        default=120,
        metavar="S",
        help="seconds before its time is up in which a worker ends its fold and leaves (default: 120)",
    )
    slurm.add_argument(
        "--setup",
        action="append",
        default=[],
        metavar="LINE",
        help="a line of shell before the worker starts",
    )
    slurm.add_argument(
        "--sbatch",
        action="append",
        default=[],
        metavar="OPTION",
        help="a further option, as --sbatch=--qos=long",
    )
    parser.add_argument_group("ray").add_argument(
        "--address", metavar="HOST:PORT", help="of the cluster (default: a cluster of this machine alone)"
    )
    parser.add_argument("--cohort", metavar="DIR", help="instead of the file's cohort")
    add_grace(parser)
    add_set(parser)
    add_home(parser)
    add_tracking(parser)


def _port(text: str) -> int:
    value = at_least(1)(text)
    if value > 65535:
        raise argparse.ArgumentTypeError(f"a port is a number from 1 to 65535, but got {text}")
    return value


def _add_server(commands: Commands) -> None:
    parser = commands.add_parser("server", help="an MLflow tracking server for the workers of many machines")
    parser.add_argument(
        "--backend",
        metavar="URI",
        help="where runs are kept: postgresql://USER@HOST/DATABASE or sqlite:////FILE "
        "(default: $RADSEARCH_SERVER_BACKEND or SQLite in the home)",
    )
    parser.add_argument("--artifacts", metavar="DIR", help="where artifacts are kept (default: in the home)")
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="address to listen on (default: 127.0.0.1); any other needs a password (see the docs)",
    )
    parser.add_argument(
        "--allowed-hosts",
        default="",
        metavar="NAME,...",
        help="host names under which clients reach it, directly or through a proxy",
    )
    parser.add_argument("--port", type=_port, default=5000, metavar="N", help="to listen on (default: 5000)")
    parser.add_argument(
        "--mlflow-version", metavar="V", help="refuse to start under another version than this"
    )
    parser.add_argument(
        "--print",
        choices=("systemd", "compose"),
        help="print a systemd unit or a compose file that starts it, and stop",
    )
    add_home(parser)
