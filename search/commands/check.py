"""`radsearch check COHORT`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from data_prep.check.findings import Finding
from data_prep.check.reading import inspect
from data_prep.check.record import check_record
from data_prep.check.running import run_checks
from data_prep.check.subject import Subject
from data_prep.files import FULL
from data_prep.problems import InputError, one_line
from search.check_tables import findings_list, presence_table, sites_line, summary_line, wrapped
from search.cli import EXIT_INPUT
from search.gallery import write_gallery
from search.terminal import counting, say
from search.writable import folder_problem


def run(args: argparse.Namespace) -> int:
    """Check a cohort; 0 where nothing keeps it from being used, 1 where there are errors."""
    out = None if args.out is None else Path(args.out)
    if out is not None and (problem := folder_problem(out)):
        raise InputError(f"--out: {problem}")
    with counting("checking: step") as progress:
        subject = inspect(Path(args.cohort), progress)
    findings = run_checks(subject)
    record = check_record(subject, findings)
    page = None if out is None else _gallery(subject, findings, out)
    if args.json:
        sys.stdout.write(json.dumps(record, indent=2, allow_nan=False) + "\n")
    else:
        _show(record, page)
    return EXIT_INPUT if record["counts"]["errors"] else 0


def _gallery(subject: Subject, findings: Sequence[Finding], out: Path) -> Path:
    try:
        with counting("drawing: participant") as progress:
            return write_gallery(subject, findings, out, progress)
    except OSError as error:
        if error.errno in FULL:
            raise
        raise InputError(f"--out: {out} cannot be written: {error.strerror}") from error


def _show(record: dict[str, Any], page: Path | None) -> None:
    console = Console(highlight=False)
    console.print(presence_table(record))
    if record["findings"]:
        console.print(findings_list(record))
        console.print()
    if record["sites"]:
        say("\n".join(wrapped(sites_line(record))))
    say("\n".join(wrapped(one_line(summary_line(record)))))
    if page is not None:
        say(str(page))
