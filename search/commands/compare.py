"""`radsearch compare STUDY[:TRIAL] STUDY[:TRIAL] ...`."""

from __future__ import annotations

import argparse
import json
import sys

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from search.comparing import Compared, Contender, Rival, compare, find_contenders
from search.home import Home
from search.storage import storage_told
from search.tables import number
from search.terminal import say

SAME, BETTER = "indistinguishable", "better"
BESIDE = 70  # columns of a terminal that the table needs beside the names


@storage_told()
def run(args: argparse.Namespace) -> int:
    """Compare trials and studies with the first that is named, as a table or as JSON."""
    found = compare(find_contenders(Home.at(args.home), args.storage, args.studies), args.metric)
    if args.json:
        sys.stdout.write(json.dumps(found.record(), indent=2, allow_nan=False) + "\n")
        return 0
    console = Console()
    console.print(table_of(found, console.width))
    for line in remarks(found):
        say(line)
    return 0


def remarks(found: Compared) -> list[str]:
    """What the table rests on, and what it could not have shown."""
    selected = {one.name: one for one in found.contenders if one.is_selected or one.rule}
    lines = [f"{name}: {_selection(one)}" for name, one in selected.items()]
    lines.append(_folds(found))
    if found.tests:
        lines.append(_margins(found))
        lines.append("p is of trials that were named before anyone saw how they did")
    if len(found.tests) > 1:
        lines.append(f"p is corrected for {len(found.tests)} comparisons (Holm), each interval is of one")
    lucky = [name for name, one in selected.items() if one.is_selected]
    if lucky:
        where = "these biopsies" if found.bank else "the folds that are compared here"
        lines.append(
            f"{', '.join(lucky)} did best on {where}, which is part luck, and no test can tell how much: "
            "`radsearch show` has the honest estimate"
        )
    return lines + [told for rival in found.rivals if (told := _honest(found.first, rival))]


def _folds(found: Compared) -> str:
    used = found.used
    count = f"{used} folds" if used == found.folds else f"the {used} of {found.folds} folds that define it"
    if found.bank:
        seeds = f", {found.bank.seeds} seeds averaged" if found.bank.seeds > 1 else ""
        tables = found.bank.tables - found.left_out
        left_out = ", without the search's own, which selected" if found.left_out else ""
        return f"means over {count} of {tables} fold table{'s'[: tables > 1]}{seeds}{left_out}"
    return f"means over {count} of the search (`radsearch rescore` scores finalists on ten fold tables)"


def _margins(found: Compared) -> str:
    """The smallest difference that could have been told apart."""
    margins = sorted({number(one.margin) for one in found.tests})
    shown = margins[0] if len(margins) == 1 else f"{margins[0]} to {margins[-1]}, by the pair"
    return f"the smallest difference that could have been told apart: {shown}"


def _honest(first: Contender, rival: Rival) -> str | None:
    """The valid answer to what a selection is better by than no tuning."""
    if rival.honest is None:
        return None
    names = (first.name, rival.contender.name)
    tuned, default = names if first.rule else names[::-1]
    found = rival.honest
    return (
        f"{tuned} minus {default}, on participants that had no part in selecting: {found.estimate:+.3f} "
        f"(95 % {found.low:+.3f} to {found.high:+.3f})"
    )


def table_of(found: Compared, width: int) -> Table:
    """A row each, for a terminal of so many columns; a name is folded only where it cannot be in full."""
    metric, first = found.metric.replace("_", " "), found.first.name
    table = Table(
        title=f"{metric}, compared with {first}", title_justify="left", box=SIMPLE_HEAD, pad_edge=False
    )
    table.padding = (0, 1, 0, 0)
    longest = max(len(one.name) for one in found.contenders)
    table.add_column("study", overflow="fold", min_width=max(min(longest, width - BESIDE), 5))
    for column in ("value", "difference", "95 % interval", "p"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_row(first, number(found.value), "", "", "", "")
    for rival in found.rivals:
        table.add_row(*_cells(rival), style="bold green" if verdict(rival) == BETTER else "")
    return table


def _cells(rival: Rival) -> list[str]:
    found = rival.comparison
    cells = [rival.contender.name, number(rival.value), f"{rival.difference:+.3f}"]
    if found is None:
        return [*cells, "", "", verdict(rival)]
    p = f"{found.p:.3f}" if found.p >= 0.001 else "< 0.001"
    return [*cells, f"{found.low:+.3f} to {found.high:+.3f}", p, verdict(rival)]


def verdict(rival: Rival) -> str:
    """Whether it is better than the first or worse, if that can be told; two lines if not tested."""
    if rival.note:
        return rival.note.replace("these ", "these\n")
    if rival.better is None:
        return SAME
    return BETTER if rival.better == rival.contender.name else "worse"


def _selection(contender: Contender) -> str:
    numbers = ", ".join(map(str, contender.trials))
    if contender.rule is None:
        return f"the best of {len(contender.predictions.trials)} trials"
    return f"{contender.rule.name} of trials {numbers}" if len(contender.trials) > 1 else f"trial {numbers}"
