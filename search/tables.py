"""Tables for the terminal, from the record of `search.results`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

Record = Mapping[str, Any]

STATES = {
    "COMPLETE": "done",
    "PRUNED": "pruned",
    "FAIL": "failed",
    "RUNNING": "running",
    "WAITING": "waiting",
}

OPTIMISM = (
    "The best value is the largest of many and therefore too good; "
    "on a cohort without any signal the best of 100 trials reaches an AUC of about 0.6."
)


def trials_table(record: Record) -> Table:
    """The trials of a study, the best one marked."""
    metric = record["honest"]["metric"]
    table = Table(title=f"{record['study']}: trials", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.padding = (0, 1, 0, 0)
    table.caption, table.caption_justify = _caption(record), "left"
    for name in ("trial", "state", "architecture", "optimizer"):
        table.add_column(name, no_wrap=True)
    for name in ("rate", "batch", "radius"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column(metric.replace("_", " "), justify="right", min_width=6)
    table.add_column("time", justify="right", no_wrap=True)
    for trial in record["trials"]:
        best = trial["number"] == record["best_trial"]
        table.add_row(*_trial_cells(trial, metric, best), style="bold green" if best else "")
    return table


def _trial_cells(trial: Record, metric: str, best: bool) -> list[str]:
    params, metrics = trial["params"], trial["metrics"]
    rate = params.get("learning_rate")
    return [
        f"{trial['number']}{' *' if best else ''}",
        _state(trial),
        str(params.get("architecture", "")),
        str(params.get("optimizer", "")),
        "" if rate is None else f"{rate:.1e}",
        str(params.get("batch_size", "")),
        str(params.get("patch_radius", "")),
        number(metrics.get(metric)),
        f"{trial['seconds']:.0f} s",
    ]


def _state(trial: Record) -> str:
    """The state, and for a trial that is not done its finished folds."""
    state, folds = STATES[trial["state"]], trial["folds_done"]
    return state if state == "done" or not folds else f"{state} ({folds})"


def _caption(record: Record) -> str:
    best = next((trial for trial in record["trials"] if trial["number"] == record["best_trial"]), None)
    if best is None:
        return "No trial is complete yet."
    return f"* best: trial {best['number']}, {record['honest']['metric']} {number(best['value'])}. {OPTIMISM}"


def studies_table(records: Sequence[Record]) -> Table:
    """The studies of a home."""
    table = Table()
    for name in ("study", "cohort", "trials", "metric", "best"):
        table.add_column(name)
    for record in records:
        table.add_row(
            record["study"],
            str(record["cohort"]),
            str(record["trials"]),
            record["metric"],
            number(record["best"]),
        )
    return table


def describe(record: Record) -> Text:
    """Cohort and folds in two lines."""
    cohort, folds = record["cohort"], record["folds"]
    excluded = sum(cohort["excluded"].values())
    left_out = f", {excluded} left out" if excluded else ""
    return Text(
        f"cohort {cohort['name']}: {cohort['biopsies']} biopsies of {cohort['participants']} participants, "
        f"{cohort['positive']} positive (above {cohort['threshold']:.4g}){left_out}\n"
        f"folds: {folds['n']} x {folds['repeats']}, table {folds['hash'][:12]}"
    )


def number(value: float | None) -> str:
    """Three decimals, or a dash for what is undefined.

    >>> number(0.61249), number(None)
    ('0.612', '-')
    """
    return "-" if value is None else f"{value:.3f}"
