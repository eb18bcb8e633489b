"""`radsearch import SOURCE --out COHORT`."""  # noqa: N999 - commands are found by their names

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from data_prep.importing.describing import details, summary
from data_prep.importing.plan import make_plan
from data_prep.importing.records import ImportOptions
from data_prep.importing.writing import write_plan
from data_prep.problems import InputError
from search.terminal import counting, say


def run(args: argparse.Namespace) -> int:
    """Make a cohort, or show what would be done."""
    with counting("reading") as progress:
        plan = make_plan(_options(args), progress)
    for line in details(plan) if args.dry_run else summary(plan):
        say(line)
    if args.dry_run:
        say(f"{args.out}: would hold {plan.biopsies} biopsies of {plan.participants} participants")
        return 0
    if plan.guessed and not args.yes:
        _confirm()
    with counting("writing images") as progress:
        write_plan(plan, progress)
    counts = f"{plan.biopsies} biopsies of {plan.participants} participants, {len(plan.images)} images"
    say(f"{args.out}: {counts}. Next: radsearch check {args.out}")
    return 0


def _options(args: argparse.Namespace) -> ImportOptions:
    return ImportOptions(
        source=Path(args.source),
        out=Path(args.out),
        biopsies=args.biopsies,
        patterns=tuple(args.pattern),
        sequences=tuple(args.sequence),
        masks=tuple(args.mask),
        only=args.only,
        columns=tuple(args.map),
        drop=tuple(args.drop),
        header_row=args.header_row,
        space=args.space,
        convention=args.convention,
        one_based=args.one_based,
        decimal_comma=args.decimal_comma,
        session=args.session,
        repeats=args.repeats,
        expression=args.expression,
        orientation=args.orientation,
        expression_id=args.expression_id,
        gene_column=args.gene_column,
        gene_lengths=args.gene_lengths,
        duplicate_genes=args.duplicate_genes,
        link=args.link,
        name=args.name,
    )


def _confirm() -> None:
    """Ask whether the guessed patterns are right.

    Raises:
        InputError: They are not, or nobody can be asked.
    """
    how = "confirm the guessed patterns with --yes, or give your own with --pattern. Nothing was written."
    if not sys.stdin.isatty():
        raise InputError(f"naming patterns: {how}")
    sys.stdout.write("Are these naming patterns right? [y/N] ")
    sys.stdout.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise InputError(f"naming patterns: {how}")
