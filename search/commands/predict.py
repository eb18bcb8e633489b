"""`radsearch predict MODEL COHORT --out FILE.tsv`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from data_prep.files import whole_file
from data_prep.problems import InputError, named
from search.home import Home
from search.tracking_uri import check_uri
from search.writable import file_problem, folder_problem

if TYPE_CHECKING:
    from data_prep.cohort import Biopsy, Cohort
    from search.deployment.model import Model
    from search.deployment.predicting import Predicted


def run(args: argparse.Namespace) -> int:
    """Ask a model about the sites of a cohort, and write what it says as a table, whole or not at all."""
    out, home = Path(args.out), Home.at(args.home)
    _check_flags(out, args.tracking_uri)
    # They take seconds to load, and what is wrong with a flag is told before.
    from search.deployment.finding import find_model
    from search.deployment.fitting_cohort import check_fits, lacking
    from search.deployment.predicting import predict
    from search.deployment.seen import check_folds, folds_of
    from search.deployment.showing import shown_sites
    from search.deployment.sites import cohort_of_sites
    from search.terminal import counting

    model = find_model(args.model, home, args.tracking_uri)
    if args.out_of_fold:
        check_folds(model)
    with counting("checking images: file") as progress:
        cohort = cohort_of_sites(
            Path(args.cohort), None if args.sites is None else Path(args.sites), progress
        )
    absent = lacking(model, cohort, cohort.biopsies)
    check_fits(model, cohort, [site for site in cohort.biopsies if site.participant_id not in absent])
    sites = list(cohort.biopsies)
    with counting("looking for participants of the training set: participant") as progress:
        folds = folds_of(model, cohort, cohort.participants, progress)
    with counting("reading volumes: participant") as progress:
        shown = shown_sites(model, cohort, sites, progress)
    with counting("predicting: site") as progress:
        found = predict(model, sites, shown, folds if args.out_of_fold else None, progress)
    with whole_file(out) as draft:
        draft.write_text(found.table(), encoding="utf-8")
    notes = _notes(model, found, absent, folds, args.out_of_fold)
    _show(args.json, _record(model, cohort, found, folds, args.out_of_fold), notes, out)
    return 0


def _check_flags(out: Path, tracking_uri: str | None) -> None:
    """Refuse what can be told to be wrong before anything is read."""
    if tracking_uri is not None:
        check_uri(tracking_uri)
    if out.suffix != ".tsv":
        raise InputError(f"--out: a name that ends in .tsv is needed, but got {out}")
    if problem := folder_problem(out.parent) or file_problem(out):
        raise InputError(f"--out: {problem}")


def _record(
    model: Model, cohort: Cohort, found: Predicted, folds: Mapping[str, int | None], out_of_fold: bool
) -> dict[str, Any]:
    """What `--json` prints."""
    facts, said = model.facts, found.is_said
    return {
        "model": {
            "name": facts.name,
            "version": facts.version,
            "folder": str(model.folder),
            "study": facts.study,
            "labels": [
                {"name": label.name, "definition": label.definition, "threshold": label.threshold}
                for label in facts.labels
            ],
            "intended_use": facts.intended_use,
        },
        "cohort": cohort.name,
        "out_of_fold": out_of_fold,
        "participants": {
            "all": len(folds),
            "in_training": sum(fold is not None for fold in folds.values()),
        },
        "sites": {
            "all": len(found.sites),
            "predicted": int(said.sum()),
            "unlike": int(found.prediction.unlike[said].sum()),
        },
        "rows": list(found.rows()),
    }


def _notes(
    model: Model,
    found: Predicted,
    absent: Mapping[str, Sequence[str]],
    folds: Mapping[str, int | None],
    out_of_fold: bool,
) -> list[str]:
    """What the table does not say."""
    lines = []
    missing = [site for site, said in zip(found.sites, found.is_said, strict=True) if not said]
    if missing:
        lines.append(_missing(missing, len(found.sites), absent))
    unlike = int(found.prediction.unlike[found.is_said].sum())
    if unlike:
        lines.append(
            f"{unlike} of {len(found.sites)} sites are unlike the training data (column 'unlike'): farther "
            "from it than 99 % of the training biopsies are from those of other participants"
        )
    seen = [who for who, fold in folds.items() if fold is not None]
    if out_of_fold:
        new = [who for who, fold in folds.items() if fold is None]
        if new:
            lines.append(
                f"{len(new)} of {len(folds)} participants were not in the training set: the members that "
                f"learned from all of it answer for {named(new)}"
            )
    elif seen:
        advice = "use --out-of-fold" if model.folds else "refit without --skip-folds, then use --out-of-fold"
        lines.append(
            f"{len(seen)} of {len(folds)} participants were in the training set: what is said of them is "
            f"better than what will be said of others; {advice} ({named(seen)})"
        )
    return lines


def _missing(sites: Sequence[Biopsy], count: int, absent: Mapping[str, Sequence[str]]) -> str:
    lacked = sorted({name for names in absent.values() for name in names})
    why = "a sequence that everybody in the training set had is absent or does not reach there"
    listed = f" ({named(lacked)})" if lacked else ""
    whose = named(list(dict.fromkeys(site.participant_id for site in sites)))
    return f"nothing can be said of {len(sites)} of {count} sites: {why}{listed}; they are n/a ({whose})"


def _show(as_json: bool, record: Mapping[str, Any], notes: Sequence[str], out: Path) -> None:
    from search.terminal import say

    for line in notes:
        sys.stderr.write(line + "\n")
    if as_json:
        sys.stdout.write(json.dumps(record, indent=2, allow_nan=False) + "\n")
        sys.stderr.write(f"wrote {out}\n")
        return
    Console().print(_table(record))
    say(f"{record['model']['intended_use']}")
    say(f"wrote {out}")


def _table(record: Mapping[str, Any]) -> Table:
    """How many sites are positive, label by label."""
    table = Table(title="predicted", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.padding = (0, 1, 0, 0)
    for name in ("label", "sites", "positive", "mean probability", "mean spread"):
        table.add_column(name, justify="left" if name == "label" else "right")
    for label in record["model"]["labels"]:
        rows = [row for row in record["rows"] if row["label"] == label["name"]]
        said = [row for row in rows if row["probability"] is not None]
        means = (
            f"{sum(row[name] for row in said) / len(said):.3f}" if said else "-"
            for name in ("probability", "spread")
        )
        table.add_row(Text(label["name"]), str(len(said)), str(sum(row["positive"] for row in said)), *means)
    return table
