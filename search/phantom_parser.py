"""What `radsearch phantom` takes."""

from __future__ import annotations

import argparse

from search.flags import Commands


def add_phantom(commands: Commands) -> None:
    """`radsearch phantom OUT`."""
    parser = commands.add_parser("phantom", help="write a synthetic cohort with a known ceiling")
    parser.add_argument("out", metavar="OUT", help="folder to write; must not exist, or be empty")
    parser.add_argument("--participants", type=int, default=45, help="how many (default: 45)")
    parser.add_argument("--biopsies", type=int, default=150, help="of all of them (default: 150)")
    parser.add_argument("--signal", default="default", help="easy, default, hard or none (default: default)")
    parser.add_argument(
        "--kind", default="gaussian", help="gaussian, texture or interaction (default: gaussian)"
    )
    parser.add_argument("--size", type=int, default=64, help="edge of the volumes in mm (default: 64)")
    parser.add_argument(
        "--missing", type=float, default=0.1, help="share of sequences that participants lack (default: 0.1)"
    )
    parser.add_argument(
        "--repeats", type=int, default=0, help="participants scanned a second time (default: 0)"
    )
    parser.add_argument("--seed", type=int, default=0, help="the same seed, the same files (default: 0)")
    _add_geometry(parser.add_argument_group("geometry"))
    _add_scanners(parser.add_argument_group("scanners"))


def _add_geometry(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--voxel",
        metavar="AxBxC",
        help="voxels of these edges in mm, each the mean over its box, like 0.5x0.5x5 (default: 1 mm points)",
    )
    group.add_argument(
        "--grids", default="one", help="one, or mixed: some sequences on coarser grids (default: one)"
    )
    group.add_argument(
        "--oblique",
        type=float,
        default=6.0,
        metavar="DEG",
        help="grids are turned by a third to all of this about each axis (default: 6)",
    )
    group.add_argument(
        "--orientation", default="ras", help="ras, or mixed: axis orders by participant (default: ras)"
    )
    group.add_argument(
        "--site-error", type=float, default=2.5, metavar="MM", help="sd of recorded sites (default: 2.5)"
    )
    group.add_argument(
        "--registration-error",
        type=float,
        default=0.0,
        metavar="MM",
        help="sd of each sequence's place along x and y (default: 0)",
    )


def _add_scanners(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--missing-by",
        default="participant",
        help="participant, or scanner: one scanner also measures no diffusion (default: participant)",
    )
    group.add_argument(
        "--scanner-shift",
        type=float,
        default=1.0,
        metavar="X",
        help="how far scanners differ, as a factor; 0 makes them identical (default: 1)",
    )
    group.add_argument(
        "--confounding",
        type=float,
        default=0.0,
        metavar="H",
        help="expression is higher by this on half of the scanners, lower on the others (default: 0)",
    )
