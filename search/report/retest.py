"""The section on second scans: whether features, probabilities and maps come out again."""

from __future__ import annotations

from search.report.agreement import Agreement, SiteAgreement
from search.report.blocks import Cell, Command, Section, Table, Text
from search.report.evidence import Evidence
from search.report.phrases import counted, decimal, listed
from search.retest.features import EXCELLENT, GOOD


def retest_section(evidence: Evidence) -> Section:
    """What a second scan repeats; nothing where the cohort declares none and none was compared."""
    title, found = "Second scans", evidence.retest
    if found is not None:
        told = Text(f"{who(found)}{_outdated(found, evidence)}")
        return Section.of("retest", title, told, agreement_table(found), Text(features_words(found)))
    if evidence.material is None or evidence.material.source.file.repeats is None:
        return Section.of("retest", title)
    why = "They were not compared with the first ones. Whether the numbers come out again:"
    return Section.of("retest", title, Command(why, f"radsearch retest {evidence.name}"))


def who(found: Agreement) -> str:
    """Who was scanned twice, and what answered."""
    (biopsies, all_biopsies), (people, everybody) = found.biopsies, found.participants
    numbers = listed([str(trial) for trial in found.trials])
    trials = f"{'trial' if len(found.trials) == 1 else 'trials'} {numbers}"
    return (
        f"{biopsies} of {all_biopsies} biopsies ({people} of {everybody} participants) were scanned twice; "
        f"both scans were scored by {trials}, each time by models that saw no scan of the participant."
    )


def _outdated(found: Agreement, evidence: Evidence) -> str:
    """Where these are not the trials that the report is about."""
    selected = evidence.honest.trials if evidence.honest else ()
    if set(found.trials) == set(selected):
        return ""
    return " That trial was named by hand." if found.is_named else " The study selects others by now."


def agreement_table(found: Agreement) -> Table:
    """ICC and flips of the probabilities, at biopsies and over maps."""
    rows = [_row("at the biopsies", found.probabilities)]
    if found.maps is not None:
        rows.append(_row(f"maps, a site every {found.stride_mm:g} mm", found.maps))
    columns = (
        "probabilities",
        "sites",
        "participants",
        "ICC(A,1)",
        "95 % low",
        "95 % high",
        "share of labels that flip",
        "by chance",
    )
    return Table(
        "retest", "Agreement of second scans with first ones", columns, tuple(rows), note=_note(found)
    )


def _row(name: str, sites: SiteAgreement) -> tuple[Cell, ...]:
    icc = sites.icc
    flips = (sites.flips.value, sites.by_chance)
    return (name, sites.sites, sites.participants, icc.value, icc.low, icc.high, *flips)


def _note(found: Agreement) -> str:
    """What must be known to read the table."""
    notes = [
        "An ICC is the share of the variance that another scan repeats, within folds; it does not say "
        "whether what is repeated is right."
    ]
    for what, sites in (("the biopsies", found.probabilities), ("the maps", found.maps)):
        if sites is not None and sites.reason is not None:
            notes.append(f"No ICC of {what}: {sites.reason}.")
    if found.probabilities.icc.low is not None and not found.probabilities.is_drawn:
        notes.append("Intervals take biopsies as independent, as participants are too few to draw from.")
    median, low, high = found.map_icc.value, found.map_icc.low, found.map_icc.high
    if median is not None and low is not None and high is not None:
        notes.append(
            f"ICC of one participant's map: median {decimal(median)}, {decimal(low)} to {decimal(high)}."
        )
    return " ".join(notes)


def features_words(found: Agreement) -> str:
    """How many features agree."""
    if not found.features:
        return "What answered reads no features of intensities that could be compared."
    whose = " (the shallow ladder's, on the network's patches)" if found.stands_in else ""
    return (
        f"Of {counted(found.features, 'feature')}{whose}, {found.good} "
        f"({decimal(100 * found.good / found.features, 0)} %) have an ICC of at least {GOOD:.2f}, and "
        f"{found.excellent} of at least {EXCELLENT:.2f}."
    )
