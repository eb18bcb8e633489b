"""`radsearch list`."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from rich.console import Console

from search.home import Home
from search.results import study_record
from search.storage import all_studies
from search.tables import studies_table
from search.terminal import open_existing, say


def run(args: argparse.Namespace) -> int:
    """List the studies of a home."""
    home = Home.at(args.home)
    storage = open_existing(home, args.storage)
    names = all_studies(storage) if storage else []
    records = [_summary(study_record(study, home, args.tracking_uri)) for study in names]
    if args.json:
        sys.stdout.write(json.dumps({"home": str(home.root), "studies": records}, indent=2) + "\n")
    elif records:
        Console().print(studies_table(records))
    else:
        say(f"no study in {home.root} yet: radsearch run STUDY.toml")
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
