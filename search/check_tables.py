"""What `radsearch check` shows, from the record of `data_prep.check.record`."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from data_prep.check.findings import SEVERITIES
from data_prep.check.mixups import PARTS
from data_prep.problems import one_line

Record = Mapping[str, Any]

STYLES: Final = {"error": "bold red", "warning": "yellow", "note": "cyan"}

MOST_ROWS: Final = 60
"""Participants up to whom all have a row; of more, those that lack nothing are counted."""

MOST_LINES: Final = 4
"""Findings of one kind that are told in full."""

_THERE, _ABSENT, _BROKEN = "+", "-", "!"


def presence_table(record: Record) -> Group:
    """Who has which sequence."""
    people = record["participants"]
    shown = [person for person in people if len(people) <= MOST_ROWS or _lacks(person)]
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.padding = (0, 1, 0, 0)
    table.add_column("participant", overflow="fold")
    table.add_column("biopsies", justify="right")
    for sequence in record["sequences"]:
        table.add_column(sequence, justify="center", overflow="fold")
    for person in shown:
        marks = [_mark(person, sequence) for sequence in record["sequences"]]
        table.add_row(Text(person["participant"]), str(len(person["biopsies"])), *marks)
    totals = [str(sum(person["present"][sequence] for person in people)) for sequence in record["sequences"]]
    table.add_section()
    table.add_row("all", str(record["counts"]["biopsies"]), *totals, style="bold")
    return Group(table, Text(_caption(people, shown)), Text())


def _lacks(person: Record) -> bool:
    return bool(person["unreadable"]) or not all(person["present"].values())


def _mark(person: Record, sequence: str) -> Text:
    if sequence in person["unreadable"]:
        return Text(_BROKEN, style=STYLES["error"])
    return Text(_THERE) if person["present"][sequence] else Text(_ABSENT, style="dim")


def _caption(people: Sequence[Record], shown: Sequence[Record]) -> str:
    words = [f"{_THERE} there"]
    if any(not all(person["present"].values()) for person in people):
        words.append(f"{_ABSENT} absent")
    if any(person["unreadable"] for person in people):
        words.append(f"{_BROKEN} cannot be read")
    rest = len(people) - len(shown)
    return ", ".join(words) + (f"; {rest} other participants have all" if rest else "")


def findings_list(record: Record) -> Group:
    """The findings by severity and kind, the first few of each in full."""
    groups: dict[tuple[str, str], list[Record]] = {}
    for finding in record["findings"]:
        groups.setdefault((finding["severity"], finding["code"]), []).append(finding)
    return Group(*(part for kind, found in groups.items() for part in _group(*kind, found)))


def _group(severity: str, code: str, findings: Sequence[Record]) -> Iterator[Text | Padding]:
    times = f" ({len(findings)})" if len(findings) > 1 else ""
    yield Text.assemble((severity, STYLES[severity]), f" {code}{times}")
    advice = {finding["advice"] for finding in findings}
    for finding in findings[:MOST_LINES]:
        yield _indented(f"{finding['where']}: {finding['what']}")
        if len(advice) > 1:
            yield _indented(finding["advice"], "dim")
    if len(findings) > MOST_LINES:
        yield _indented(f"and {len(findings) - MOST_LINES} more, which --json lists.")
    if len(advice) == 1:
        yield _indented(advice.pop(), "dim")


def _indented(line: str, style: str = "") -> Padding:
    return Padding(Text(one_line(line), style=style), (0, 0, 0, 2))


def sites_line(record: Record) -> str:
    """Where the sites fall, such as "sites: 150 of 150 in the image, 128 of 150 in the tumour mask"."""
    return "sites: " + ", ".join(_part(sites) for sites in record["sites"][::-1])


def wrapped(line: str) -> list[str]:
    """A line as a terminal of 80 columns shows it, what follows the first indented; long words stay whole."""
    return textwrap.wrap(line, 80, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _part(sites: Record) -> str:
    line = f"{sites['inside']} of {sites['of']} in the {PARTS[sites['part']]}"
    if sites["farthest_mm"]:
        line += f" (others up to {sites['farthest_mm']:.1f} mm off)"
    return line


def summary_line(record: Record) -> str:
    """How much was found in how much."""
    counts = record["counts"]
    found = [counted(counts[f"{severity}s"], severity) for severity in SEVERITIES]
    looked = [
        counted(counts["participants"], "participant"),
        counted(counts["biopsies"], "biopsy"),
        counted(counts["sequences"], "sequence"),
    ]
    told = ", ".join(found) if record["findings"] else "nothing to complain of"
    return f"{record['cohort']}: {told} in {', '.join(looked)}"


def counted(number: int, word: str) -> str:
    """A number with its noun.

    >>> counted(1, "note"), counted(2, "biopsy")
    ('1 note', '2 biopsies')
    """
    if number == 1:
        return f"{number} {word}"
    return f"{number} {word[:-1]}ies" if word.endswith("y") else f"{number} {word}s"
