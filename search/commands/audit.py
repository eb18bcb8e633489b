"""`radsearch audit STUDY`."""

from __future__ import annotations

import argparse
import json
import sys

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from data_prep.problems import one_line
from search.audit.auditing import run_audit
from search.audit.record import LEAK, NOT_CHECKED, PASSED, SUSPICIOUS, VERDICTS, Audit, write_audit
from search.cli import EXIT_INPUT
from search.home import Home
from search.recorded import recorded_study
from search.storage import storage_told
from search.terminal import counting, say

STYLES = {LEAK: "bold red", SUSPICIOUS: "yellow", PASSED: "green"}


@storage_told()
def run(args: argparse.Namespace) -> int:
    """Audit a study; 0 where no leak was found, else 1 and a line a leak on stderr."""
    home = Home.at(args.home)
    opened, study = recorded_study(home, args.storage, args.study, args.cohort)
    with counting("audit: step") as progress:
        audit = run_audit(opened, study, home, progress)
    write_audit(home.study(study.name), audit)
    if args.json:
        sys.stdout.write(json.dumps(audit.to_json(), indent=2, allow_nan=False) + "\n")
    else:
        Console().print(audit_table(audit))
        say(verdict(audit))
    for check in audit.leaks:
        sys.stderr.write(one_line(f"{audit.study}: leak: {check.name}: {check.sentence}") + "\n")
    return EXIT_INPUT if audit.leaks else 0


def audit_table(audit: Audit) -> Table:
    """A row a check, the worst first."""
    table = Table(title=f"{audit.study}: audit", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("check", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("what was found")
    for name in VERDICTS:
        for check in audit.having(name):
            style = STYLES.get(name, "dim")
            table.add_row(Text(check.name), Text(name, style=style), Text(one_line(check.sentence)))
    return table


def verdict(audit: Audit) -> str:
    """The last line."""
    told = [(SUSPICIOUS, "suspicious"), (NOT_CHECKED, "not checked")]
    rest = ", ".join(f"{len(audit.having(name))} {word}" for name, word in told if audit.having(name))
    beside = f"; {rest}" if rest else ""
    if audit.leaks:
        names = ", ".join(check.name for check in audit.leaks)
        return (
            f"{audit.study}: {len(audit.leaks)} of {len(audit.checks)} checks found a leak: {names}{beside}"
        )
    return f"{audit.study}: no leak found by {len(audit.checks)} checks in {audit.seconds:.0f} s{beside}"
