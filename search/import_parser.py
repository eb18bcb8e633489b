"""What `radsearch import` takes."""

from __future__ import annotations

import argparse

from search.flags import Commands, at_least

_EXAMPLES = """examples:
  radsearch import bids --biopsies biopsies.csv --space world --convention LPS --out cohort
  radsearch import scans --pattern '{participant_id}/{date}/{sequence}_reg.nii.gz' \\
      --biopsies sites.xlsx:Sheet1 --map participant_id=Patient --space voxel --out cohort --dry-run"""


def add_import(commands: Commands) -> None:
    """`radsearch import SOURCE --out COHORT`."""
    parser = commands.add_parser(
        "import",
        help="make a cohort from BIDS or a plain folder, and tables in CSV, TSV or Excel",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", metavar="SOURCE", help="folder with the images; nothing in it is touched")
    parser.add_argument("--out", required=True, metavar="COHORT", help="the cohort's folder to make")
    parser.add_argument("--name", help="of the cohort (default: that of its folder)")
    parser.add_argument(
        "--dry-run", action="store_true", help="show all that would be done and write nothing"
    )
    parser.add_argument("--yes", action="store_true", help="confirm the guessed naming patterns beforehand")
    parser.add_argument(
        "--link",
        choices=("copy", "symlink"),
        default="copy",
        help="copy the images or link them (default: copy)",
    )
    _add_images(parser)
    _add_biopsies(parser)
    _add_expression(parser)


def _add_images(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("images")
    _several(
        group, "--pattern", "PATTERN", "naming pattern, such as {participant_id}/{date}/{sequence}.nii.gz"
    )
    _several(
        group, "--sequence", "NAME=RULE", "of BIDS: entities, T1Gd=suffix:T1w,ceagent:gd; else: its text"
    )
    _several(group, "--mask", "NAME=RULE", "brain=RULE or tumor=RULE, likewise")
    group.add_argument(
        "--only", metavar="ENTITY:VALUE,...", help="of BIDS: take images with these alone, as space:T1Gd"
    )
    group.add_argument("--session", metavar="NAME", help="of all biopsies, where no column says so")
    group.add_argument("--repeats", metavar="NAME", help="session in which the same sites were scanned again")


def _add_biopsies(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("biopsies")
    group.add_argument("--biopsies", required=True, metavar="FILE[:SHEET]", help="CSV, TSV or Excel")
    _several(
        group, "--map", "ROLE=COLUMN", "biopsy_id, participant_id, session, x, y, z; several: ROLE={A}-{B}"
    )
    _several(group, "--drop", "COLUMN", "leave a column of any table out")
    group.add_argument(
        "--header-row", type=at_least(1), metavar="N", help="row of its titles (default: the first)"
    )
    group.add_argument(
        "--space", choices=("voxel", "world"), help="indices or mm, where the table does not say so"
    )
    group.add_argument(
        "--convention", choices=("RAS", "LPS"), help="of millimetres, where the table does not say so"
    )
    group.add_argument("--one-based", action="store_true", help="voxel indices count from 1")
    group.add_argument("--decimal-comma", action="store_true", help="1,234 is a number below two")


def _add_expression(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("expression")
    group.add_argument("--expression", metavar="FILE[:SHEET]", help="genes x samples or samples x genes")
    group.add_argument(
        "--orientation",
        choices=("genes-x-samples", "samples-x-genes"),
        help="where both axes could be samples",
    )
    group.add_argument(
        "--expression-id", metavar="COLUMN", help="of the biopsies: names of samples (default: biopsy ids)"
    )
    group.add_argument("--gene-column", metavar="COLUMN", help="names of genes in rows (default: the first)")
    group.add_argument("--gene-lengths", metavar="FILE[:SHEET]", help="makes TPM of counts")
    group.add_argument(
        "--duplicate-genes",
        choices=("error", "first", "sum"),
        default="error",
        help="what becomes of genes that occur repeatedly (default: error)",
    )


def _several(group: argparse._ArgumentGroup, flag: str, metavar: str, text: str) -> None:
    group.add_argument(flag, action="append", default=[], metavar=metavar, help=f"{text}; repeatable")
