"""What is said of a study's result in words: its estimate, its rival, and what it does not show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.text import Text

from search.metrics import DIRECTIONS
from search.tables import number

Record = Mapping[str, Any]

NAMES = {
    "rank-average": "mean rank of {trials}",
    "one-se": "simplest within one standard error of the best: {trials}",
    "argmax": "the best: {trials}",
}
CLAIMS = {
    True: "better than chance at one-sided 5 %",
    False: "not told apart from chance at one-sided 5 %: no signal is shown",
    None: "too few participants to say whether that is better than chance",
}
# benchmarks/README.md: without signal the models of both sides of a draw share training data.
ABOVE = "without any signal such an estimate is about 0.52 to 0.54, not 0.50"


def verdict(record: Record) -> Text:
    """The lines below the trials: what was selected, how good it is, and against what."""
    if not record["selected"]["trials"]:
        return Text("")
    honest = record["honest"]
    return Text("\n".join((_selected(record), *_estimate(honest), *_beside(record), *_permutation(honest))))


def _selected(record: Record) -> str:
    selected = record["selected"]
    numbers = ", ".join(map(str, selected["trials"]))
    trials = f"trial {numbers}" if len(selected["trials"]) == 1 else f"trials {numbers}"
    return f"selected: {NAMES[selected['rule']].format(trials=trials)}"


def _estimate(honest: Record) -> Iterator[str]:
    metric = honest["metric"].replace("_", " ")
    lower = " (lower is better)" if DIRECTIONS[honest["metric"]] == "minimize" else ""
    if honest["estimate"] is None:
        yield f"honest estimate: none, as {honest['reason']}"
    else:
        yield f"honest estimate: {metric} {interval(honest['estimate'], honest['ci95'])}{lower}"
        yield (
            f"  {honest['method']}, {honest['draws']} draws, "
            f"{honest['configurations']} trials ({honest['distinct']} different)"
        )
        yield f"  {CLAIMS[honest['claim']]}{_level(honest)}"
        if honest["claim"] is False and honest["metric"].endswith("auc"):
            yield f"  ({ABOVE})"
    yield (
        f"naive: {number(honest['selected_naive'])} on the data that selected it; the best trial alone "
        f"{number(honest['naive'])}"
    )
    yield _tuned(honest) + lower


def _beside(record: Record) -> Iterator[str]:
    """The first of the selected trials on complete cases, and on the labels it learns beside."""
    first = record["selected"]["trials"][0]
    trial = next(trial for trial in record["trials"] if trial["number"] == first)
    metric, cases = record["honest"]["metric"], trial["complete_cases"]
    shown, whole = metric.replace("_", " "), number(trial["metrics"][metric])
    if cases is not None:
        yield (
            f"trial {first} on the {cases['biopsies']} biopsies with every sequence: {shown} "
            f"{number(cases['metrics'][metric])} (on all: {whole})"
        )
    if others := trial["further_labels"]:
        told = ", ".join(f"{name} {number(metrics[metric])}" for name, metrics in others.items())
        yield f"trial {first}, labels beside: {told} ({shown}; the one searched for: {whole})"


def _level(honest: Record) -> str:
    """What chance is, where that is not known to everybody."""
    chance = honest["chance"]
    return "" if chance is None or honest["metric"].endswith("auc") else f" (chance: {chance:.3f})"


def _tuned(honest: Record) -> str:
    found = honest["tuned_minus_default"]
    if found is None:
        return "tuned minus default: unknown, as the default trial is not complete"
    shown = interval(found["estimate"], found["ci95"], signed=True)
    return f"tuned minus default (trial {found['default_trial']}): {shown}"


def _permutation(honest: Record) -> Iterator[str]:
    found = honest["permutation"]
    if found is None:
        return
    if "problem" in found:
        yield f"permutation test: {found['problem']}"
        return
    reduced = f", reduced by {', '.join(found['reductions'])}" if found["reductions"] else ""
    again = f", after {found['earlier']} earlier tests" if found["earlier"] else ""
    yield (
        f"permutation test of the whole search ({found['statistic'].replace('_', ' ')}, "
        f"{found['configurations']} configurations, {found['permutations']} permutations{reduced}{again}): "
        f"p = {honest['p_value']:.3f}"
    )
    if found["caution"]:
        yield f"  {found['caution']}"


def interval(value: float, ci95: list[float], signed: bool = False) -> str:
    """A value and its 95 % interval.

    >>> interval(0.6124, [0.5, 0.7])
    '0.612 (95 % interval 0.500 to 0.700)'
    """
    sign = "+" if signed else ""
    low, high = ci95
    return f"{value:{sign}.3f} (95 % interval {low:{sign}.3f} to {high:{sign}.3f})"
