"""`radsearch list`."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from rich.console import Console

from data_prep.problems import InputError, Problems
from search.home import Home
from search.storage import all_studies, storage_told
from search.tables import studies_table
from search.terminal import open_existing, read_record, say


@storage_told()
def run(args: argparse.Namespace) -> int:
    """List the studies of a home.

    Raises:
        InputError: What the storage holds of some studies cannot be read; the others are listed.
    """
    home = Home.at(args.home)
    storage = open_existing(home, args.storage)
    problems, records = Problems(), []
    for study in all_studies(storage) if storage else ():
        try:
            records.append(_summary(read_record(study, home, args.tracking_uri, judged=False)))
        except InputError as error:
            problems.extend(error)  # the others are listed all the same
    if args.json:
        sys.stdout.write(json.dumps({"home": str(home.root), "studies": records}, indent=2) + "\n")
    elif records:
        Console().print(studies_table(records))
    elif not problems:
        say(f"no study in {home.root} yet: radsearch run STUDY.toml")
    problems.raise_any()
    return 0


def _summary(record: dict[str, Any]) -> dict[str, Any]:
    done = [trial for trial in record["trials"] if trial["state"] in ("COMPLETE", "PRUNED", "FAIL")]
    return {
        "study": record["study"],
        "cohort": (record["cohort"] or {}).get("name"),
        "trials": len(done),
        "metric": record["honest"]["metric"],
        "best": record["honest"]["naive"],
        "best_trial": record["best_trial"],
    }
