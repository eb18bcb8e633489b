"""What `radsearch retest` takes."""

from __future__ import annotations

import argparse

from search.flags import Commands, add_cohort, add_home, add_json, add_machine, add_storage, at_least

STRIDE_MM = 4.0


def add_retest(commands: Commands) -> None:
    """`radsearch retest STUDY`."""
    parser = commands.add_parser(
        "retest", help="second scans of the same sites: do features, probabilities and maps come out again?"
    )
    parser.add_argument("study", metavar="STUDY", help="the study's name")
    parser.add_argument(
        "--trial", type=at_least(0), metavar="N", help="this trial (default: what the study's rule selects)"
    )
    parser.add_argument(
        "--stride",
        type=_millimetres,
        default=STRIDE_MM,
        metavar="MM",
        help=f"between sites of the maps (default: {STRIDE_MM:g})",
    )
    parser.add_argument("--skip-maps", action="store_true", help="only biopsies and features")
    parser.add_argument("--out", metavar="DIR", help="folder for figures and tables")
    add_cohort(parser)
    add_machine(parser)
    add_json(parser)
    add_home(parser)
    add_storage(parser)


def _millimetres(text: str) -> float:
    value = float(text)
    if not 0.5 <= value <= 100:
        raise argparse.ArgumentTypeError(f"0.5 to 100 mm are possible, but got {text}")
    return value
