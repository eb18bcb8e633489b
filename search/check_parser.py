"""What `radsearch check` takes."""

from __future__ import annotations

from search.flags import Commands, add_json


def add_check(commands: Commands) -> None:
    """`radsearch check COHORT`."""
    parser = commands.add_parser("check", help="quality control: every problem of a cohort at once")
    parser.add_argument("cohort", metavar="COHORT", help="folder with a cohort.toml")
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="write a gallery there: every participant, every biopsy in every sequence",
    )
    add_json(parser)
