"""What the page holds, in order."""

from __future__ import annotations

from datetime import UTC, datetime

from search.report.beside import beside_section
from search.report.blocks import Section
from search.report.doubts import (
    audit_section,
    ladder_section,
    nested_section,
    permutation_section,
    rescored_section,
)
from search.report.evidence import Evidence
from search.report.explained import explained_section
from search.report.provenance import cohort_section, folds_section, provenance_section
from search.report.results import cases, estimate, performance_section, summary
from search.report.retest import retest_section
from search.report.search_run import (
    cost_section,
    curves_section,
    importance_section,
    search_section,
    trials_section,
)
from search.report.sheet import sheet_table
from search.versions import software_versions

ELSEWHERE = {"use": "Research use only", "figure-calibration": "Calibration"}  # anchors that are no section's


def contents(evidence: Evidence) -> list[Section]:
    """The sections of the report."""
    sections = [
        summary(evidence),
        estimate(evidence),
        cohort_section(evidence),
        performance_section(evidence),
        beside_section(evidence),
        cases(evidence),
        ladder_section(evidence),
        permutation_section(evidence),
        nested_section(evidence),
        rescored_section(evidence),
        retest_section(evidence),
        audit_section(evidence),
        search_section(evidence),
        importance_section(evidence),
        explained_section(evidence),
        curves_section(evidence),
        cost_section(evidence),
        trials_section(evidence),
        folds_section(evidence),
        provenance_section(evidence),
    ]
    filled = [section for section in sections if section.blocks]
    return [*filled, sheet_section(filled)]


def sheet_section(sections: list[Section]) -> Section:
    """The reporting sheet, by what the page has."""
    titles = {section.anchor: section.title for section in sections} | ELSEWHERE
    shown = {section.anchor for section in sections if section.answers} | {"use"}
    names = {getattr(block, "name", "") for section in sections for block in section.blocks}
    if "calibration" in names:
        shown.add("figure-calibration")
    return Section.of("sheet", "Reporting sheet", sheet_table(shown, titles))


def written_by() -> str:
    """When and by what the page was written."""
    version = software_versions().get("radsearch", "")
    return f"Written by radsearch {version} on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC."
