"""The gallery as HTML, in the style of the report: nothing is loaded, nothing runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from data_prep.check.findings import SEVERITIES, Finding
from data_prep.check.subject import File, Subject
from search.check_tables import counted
from search.gallery.cards import Card, presence
from search.report.page import policy

Part = tuple[Card, ...]


def name_of(number: int) -> str:
    """File name of a page, counted from 0."""
    return "gallery.html" if number == 0 else f"gallery-{number + 1}.html"


def render(subject: Subject, findings: Sequence[Finding], parts: Sequence[Part], number: int) -> str:
    """One page.

    Args:
        subject: The cohort.
        findings: Ranked; the first page tells all, the others link to it.
        parts: The cards of all pages.
        number: Which page, from 0.
    """
    cohort = subject.cohort
    links = {finding: place for place, part in enumerate(parts) for card in part for finding in card.findings}
    return (
        _environment()
        .get_template("gallery.html")
        .render(
            name=cohort.name,
            counts=", ".join(
                counted(len(found), word)
                for found, word in (
                    (cohort.participants, "participant"),
                    (cohort.biopsies, "biopsy"),
                    (cohort.sequences, "sequence"),
                )
            ),
            headline=headline(findings),
            findings=findings,
            rows=presence(subject),
            parts=parts,
            number=number,
            links=links,
            version=version("radsearch"),
            policy=policy(""),
        )
    )


def headline(findings: Sequence[Finding]) -> str:
    """How many of each severity.

    >>> headline([])
    'Nothing was found.'
    """
    counts = Counter(finding.severity for finding in findings)
    told = [counted(counts[s], s) for s in SEVERITIES if counts[s]]
    return f"{', '.join(told)}." if told else "Nothing was found."


def state(file: File | None) -> tuple[str, str]:
    """Whether a file is there, as a sign and as a word.

    >>> state(None)
    ('-', 'absent')
    """
    if file is None:
        return "-", "absent"
    if file.problem is not None:
        return "\N{MULTIPLICATION X}", "unreadable"
    return "\N{BLACK CIRCLE}", "present"


@cache
def _environment() -> Environment:
    """Templates in which every text is escaped; the style is the report's."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader("search.gallery"), PackageLoader("search.report")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["name_of"] = name_of
    environment.globals["state"] = state
    return environment
