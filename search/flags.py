"""Flags that several commands share, and what they accept."""

from __future__ import annotations

import argparse
import os
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
    parser.add_argument(
        "--storage",
        metavar="URL",
        default=os.environ.get("RADSEARCH_STORAGE"),
        help="Optuna's storage, such as postgresql://... "
        "(default: $RADSEARCH_STORAGE or a journal in the home)",
    )


def add_tracking(parser: argparse.ArgumentParser) -> None:
    """Where Optuna's storage and MLflow are."""
    add_storage(parser)
    parser.add_argument(
        "--tracking-uri",
        metavar="URI",
        default=os.environ.get("RADSEARCH_TRACKING_URI"),
        help="MLflow server (default: $RADSEARCH_TRACKING_URI or a database in the home)",
    )


def add_grace(parser: argparse.ArgumentParser) -> None:
    """When the trial of a silent worker is taken up by another."""
    parser.add_argument(
        "--grace",
        type=at_least(1),
        metavar="S",
        help="with a database: seconds without a sign of life after which others take a trial up "
        "(default: 300)",
    )


def add_cohort(parser: argparse.ArgumentParser) -> None:
    """Where the cohort of a recorded study is."""
    parser.add_argument("--cohort", metavar="DIR", help="where the cohort is now (default: where it was)")


def add_json(parser: argparse.ArgumentParser) -> None:
    """Machine-readable output."""
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")


def add_machine(parser: argparse.ArgumentParser) -> None:
    """Where models are fitted."""
    parser.add_argument(
        "--workers", type=int, metavar="N", help="slots, a process each (default: one a GPU, or one)"
    )
    parser.add_argument(
        "--gpus", metavar="0,2", help='GPUs to use, of those visible (default: all; "" for none)'
    )
    parser.add_argument(
        "--slots-per-gpu", type=at_least(1), metavar="K", help="slots that share each GPU (default: one)"
    )
    parser.add_argument(
        "--require-gpu",
        action="store_true",
        help="stop where TensorFlow finds no GPU, instead of using the CPU",
    )


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
