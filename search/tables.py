"""Tables for the terminal, from the record of `search.results`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from data_prep.label_summary import LabelSummary

Record = Mapping[str, Any]

STATES = {
    "COMPLETE": "done",
    "PRUNED": "pruned",
    "FAIL": "failed",
    "RUNNING": "running",
    "WAITING": "waiting",
}


def trials_table(record: Record) -> Table:
    """The trials of a study, the best one marked."""
    metric = record["honest"]["metric"]
    table = Table(title=f"{record['study']}: trials", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.padding = (0, 1, 0, 0)
    table.caption, table.caption_justify = _caption(record), "left"
    table.add_column("trial", no_wrap=True)
    table.add_column("state", min_width=7)  # on a narrow terminal "out of memory" takes two lines
    table.add_column(metric.replace("_", " "), justify="right", min_width=6)
    for name in ("architecture", "optimizer"):
        table.add_column(name, no_wrap=True)
    for name in ("rate", "batch", "radius", "time"):
        table.add_column(name, justify="right", no_wrap=True)
    for trial in record["trials"]:
        best = trial["number"] == record["best_trial"]
        table.add_row(*_trial_cells(trial, metric, best), style="bold green" if best else "")
    return table


def _trial_cells(trial: Record, metric: str, best: bool) -> list[str]:
    params, metrics = trial["params"], trial["metrics"]
    rate = params.get("learning_rate")
    return [
        f"{trial['number']}{' *' if best else ''}",
        _ending(trial),
        number(metrics.get(metric)),
        network(params),
        str(params.get("optimizer", "")),
        "" if rate is None else f"{rate:.1e}",
        str(params.get("batch_size", "")),
        str(params.get("patch_radius", "")),
        f"{trial['seconds']:.0f} s",
    ]


def _ending(trial: Record) -> str:
    """Its state, or where it ended otherwise than well, why: "out of memory" says more than "pruned"."""
    ending = trial.get("ending")
    return STATES[trial["state"]] if ending in (None, "complete") else str(ending)


def _caption(record: Record) -> str:
    best = next((trial for trial in record["trials"] if trial["number"] == record["best_trial"]), None)
    if best is None:
        return "No trial is complete yet."
    metric = record["honest"]["metric"]
    return f"* best: trial {best['number']}, {metric} {number(best['value'])}. {optimism(record)}"


def optimism(record: Record) -> str:
    """Why the best value is too good; for an AUC, how far chance alone carries one on so many biopsies.

    The standard error of an AUC without signal is `sqrt((P + N + 1) / (12 P N))` for P positive and N
    negative independent biopsies (Mann-Whitney); folds and biopsies of one participant only widen it.
    """
    text = "The best of several trials is too good."
    cohort = record["cohort"]
    if "auc" not in record["honest"]["metric"] or not cohort:
        return text
    positive = cohort["positive"]
    negative = cohort["biopsies"] - positive
    error = math.sqrt((positive + negative + 1) / (12 * positive * negative))
    return (
        f"{text} Without any signal an AUC on {positive + negative} biopsies strays from 0.5 by "
        f"{error:.2f} or more (one standard error), and the best of many trials further up."
    )


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


def untrained(record: Record) -> Text | None:
    """How many weights each radius leaves without a gradient, a line each; None where it leaves none.

    On a small patch the deepest maps have one pixel: all taps of a 3x3 kernel but its centre meet padding.
    """
    found = {
        (network(trial["params"]), int(trial["params"]["patch_radius"])): trial
        for trial in record["trials"]
        if trial["dead_parameters"]
    }
    lines = []
    for (name, radius), trial in sorted(found.items()):
        dead, trainable = trial["dead_parameters"], trial["trainable_parameters"]
        lines.append(
            f"{name} at radius {radius}: {dead:,} of {trainable:,} weights ({dead / trainable:.0%}) "
            "meet padding alone and never train"
        )
    return Text("\n".join(lines)) if lines else None


def describe(record: Record) -> Text:
    """Cohort, labels and folds, a line each."""
    cohort, folds = record["cohort"], record["folds"]
    excluded = sum(cohort["excluded"].values())
    left_out = f", {excluded} left out" if excluded else ""
    labels = "".join(f"label {LabelSummary(**told).line}\n" for told in cohort.get("labels", ()))
    return Text(
        f"cohort {cohort['name']}: {cohort['biopsies']} biopsies of {cohort['participants']} participants, "
        f"{cohort['positive']} positive (above {cohort['threshold']:.4g}){left_out}\n"
        f"{labels}"
        f"folds: {folds['n']} x {folds['repeats']}, table {folds['hash'][:12]}"
    )


def network(params: Mapping[str, Any]) -> str:
    """An architecture with its stem, where that is not its own.

    >>> network({"architecture": "resnet50", "stem": "resize", "resize_to": 32})
    'resnet50 32 px'
    """
    words = [str(params.get("architecture", ""))]
    if params.get("stem") == "resize":
        words.append(f"{params['resize_to']} px")
    elif params.get("stem", "paper") != "paper":
        words.append(str(params["stem"]))
    return " ".join(words)


def number(value: float | None) -> str:
    """Three decimals, or a dash for what is undefined.

    >>> number(0.61249), number(None)
    ('0.612', '-')
    """
    return "-" if value is None else f"{value:.3f}"
