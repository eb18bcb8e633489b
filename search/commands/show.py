"""`radsearch show STUDY`."""

from __future__ import annotations

import argparse
import json
import sys

from rich.console import Console

from data_prep.problems import InputError, nearest
from search.home import Home
from search.storage import all_studies, storage_told
from search.tables import describe, trials_table, untrained
from search.terminal import open_existing, read_record
from search.verdict import verdict


@storage_told()
def run(args: argparse.Namespace) -> int:
    """Show one study, as tables or as JSON."""
    home = Home.at(args.home)
    storage = open_existing(home, args.storage)
    studies = {study.study_name: study for study in all_studies(storage)} if storage else {}
    if args.study not in studies:
        raise InputError(f"STUDY: no study {args.study!r} in {home.root}; {nearest(args.study, studies)}")
    record = read_record(studies[args.study], home, args.tracking_uri)
    if args.json:
        sys.stdout.write(json.dumps(record, indent=2, allow_nan=False) + "\n")
        return 0
    console = Console()
    console.print(describe(record))
    console.print(trials_table(record))
    console.print(verdict(record))
    out_of_reach = untrained(record)
    if out_of_reach:
        console.print(out_of_reach)
    return 0
