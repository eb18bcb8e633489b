"""What the commands take that judge a study: how good it is, whether that can be chance, or a leak."""

from __future__ import annotations

import argparse

from search.flags import (
    Commands,
    add_cohort,
    add_home,
    add_json,
    add_machine,
    add_set,
    add_storage,
    add_tracking,
    at_least,
)


def add_judging(commands: Commands) -> None:
    """The parsers of these commands."""
    _add_rescore(commands)
    _add_test(commands)
    _add_nested(commands)
    _add_compare(commands)
    _add_audit(commands)
    _add_report(commands)


def _add_rescore(commands: Commands) -> None:
    parser = commands.add_parser(
        "rescore", help="score the best trials of a study on ten fold tables and several seeds"
    )
    parser.add_argument("study", metavar="STUDY", help="the study's name")
    parser.add_argument(
        "--scheme",
        choices=("bank", "participant", "random"),
        default="bank",
        help="the study's bank of fold tables (default); for comparison: leave one participant out, or the "
        "source report's random split, which shares participants and is too good",
    )
    parser.add_argument(
        "--top", type=at_least(1), default=10, metavar="N", help="how many trials (default: 10)"
    )
    parser.add_argument(
        "--seeds",
        type=at_least(1),
        default=3,
        metavar="N",
        help="fits of each that are averaged (default: 3)",
    )
    parser.add_argument(
        "--tables", type=at_least(1), metavar="N", help="fold tables, or random splits (default: 10)"
    )
    _add_common(parser)


def _add_test(commands: Commands) -> None:
    parser = commands.add_parser(
        "test", help="permutation test of the whole pipeline: could labels without signal do as well?"
    )
    parser.add_argument("study", metavar="STUDY", help="the study's name")
    parser.add_argument(
        "--permutations",
        type=at_least(1),
        default=199,
        metavar="N",
        help="how many; more of them continue an earlier test (default: 199)",
    )
    parser.add_argument(
        "--null",
        choices=("global", "within", "both"),
        default="both",
        help="labels shuffled between participants, within them, or one test of each (default)",
    )
    parser.add_argument(
        "--configurations",
        type=at_least(1),
        default=20,
        metavar="N",
        help="of the reduced search that is repeated for each permutation (default: 20)",
    )
    parser.add_argument("--seed", type=at_least(0), default=0, help="of permutations and search (default: 0)")
    parser.add_argument(
        "--without-refits",
        action="store_true",
        help="refused: labels permuted against stored predictions give no valid p-value",
    )
    add_set(parser)
    _add_common(parser)


def _add_nested(commands: Commands) -> None:
    parser = commands.add_parser(
        "nested", help="nested cross-validation: the search repeated inside each training fold"
    )
    parser.add_argument("study", metavar="STUDY.toml", help="what to search, on which cohort, and how")
    parser.add_argument(
        "--configurations",
        type=at_least(1),
        metavar="N",
        help="searched in each training fold (default: the study's trials, at most 100)",
    )
    parser.add_argument(
        "--inner", type=at_least(2), default=4, metavar="N", help="folds of the inner search (default: 4)"
    )
    parser.add_argument(
        "--repeats", type=at_least(1), default=1, metavar="N", help="outer fold tables (default: 1)"
    )
    add_set(parser)
    _add_common(parser)


def _add_compare(commands: Commands) -> None:
    parser = commands.add_parser(
        "compare", help="which of several trials or studies is better, if that can be told"
    )
    parser.add_argument(
        "studies",
        metavar="STUDY[:TRIAL]",
        nargs="+",
        help="a study's selection, or one trial; the first is what the others are compared with",
    )
    parser.add_argument("--metric", help="what is compared (default: what the first study was searched by)")
    add_json(parser)
    add_home(parser)
    add_storage(parser)


def _add_audit(commands: Commands) -> None:
    parser = commands.add_parser("audit", help="look for leaks: could the result come from anything else?")
    parser.add_argument("study", metavar="STUDY", help="the study's name")
    add_cohort(parser)
    add_json(parser)
    add_home(parser)
    add_storage(parser)


def _add_report(commands: Commands) -> None:
    parser = commands.add_parser("report", help="the report: one HTML file, its figures and its tables")
    parser.add_argument("study", metavar="STUDY", help="the study's name")
    parser.add_argument("--out", metavar="DIR", required=True, help="folder to write, or an earlier report")
    parser.add_argument(
        "--skip-importance",
        action="store_true",
        help="leave out the importance of each sequence, for which the best trial is fitted once more",
    )
    add_cohort(parser)
    add_machine(parser)
    add_home(parser)
    add_tracking(parser)


def _add_common(parser: argparse.ArgumentParser) -> None:
    add_cohort(parser)
    add_machine(parser)
    add_json(parser)
    add_home(parser)
    add_storage(parser)
