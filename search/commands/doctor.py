"""`radsearch doctor [STUDY]`."""

from __future__ import annotations

import argparse
import json
import sys

from rich.console import Console

from search.doctor.examination import DoctorOptions, examine
from search.home import Home
from search.storage import storage_told
from search.terminal import say


@storage_told()
def run(args: argparse.Namespace) -> int:
    """Examine a home and mend it; 1 where something is left to be mended."""
    options = DoctorOptions(args.storage, args.tracking_uri, args.dry_run, tuple(args.lost_host))
    with Console(stderr=True).status("looking") as status:
        report = examine(
            Home.at(args.home), args.study, options, lambda what: status.update(f"looking at {what}")
        )
    if args.json:
        sys.stdout.write(json.dumps(report.to_json(), indent=2) + "\n")
    else:
        for line in report.lines():
            say(line)
    return report.exit_code
