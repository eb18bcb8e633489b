"""Flags that several commands share, and what they accept."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TypeAlias

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_home(parser: argparse.ArgumentParser) -> None:
    """Where the home is."""
    parser.add_argument(
        "--home",
        metavar="DIR",
        help="where everything is kept (default: $RADSEARCH_HOME or ./radsearch-home)",
    )


def add_set(parser: argparse.ArgumentParser) -> None:
    """Overrides of a study file."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SECTION.KEY=VALUE",
        help="override one key of the study file",
    )


def add_storage(parser: argparse.ArgumentParser) -> None:
    """Where Optuna's storage is."""
    parser.add_argument("--storage", metavar="URL", help="Optuna storage (default: a journal in the home)")


def add_tracking(parser: argparse.ArgumentParser) -> None:
    """Where Optuna's storage and MLflow are."""
    add_storage(parser)
    parser.add_argument(
        "--tracking-uri", metavar="URI", help="MLflow server (default: a database in the home)"
    )


def add_cohort(parser: argparse.ArgumentParser) -> None:
    """Where the cohort of a recorded study is."""
    parser.add_argument("--cohort", metavar="DIR", help="where the cohort is now (default: where it was)")


def add_json(parser: argparse.ArgumentParser) -> None:
    """Machine-readable output."""
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")


def add_machine(parser: argparse.ArgumentParser) -> None:
    """Where models are fitted."""
    parser.add_argument("--workers", type=int, metavar="N", help="processes (default: one a GPU, or one)")
    parser.add_argument("--gpus", metavar="0,1", help="GPUs to use (default: all)")


def at_least(least: int) -> Callable[[str], int]:
    """A type of argument: a whole number from `least` on."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(f"a whole number from {least} on is needed, but got {text}")
        return value

    return parse
