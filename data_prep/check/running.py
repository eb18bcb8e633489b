"""All checks of a cohort."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain
from typing import Final

from data_prep.check.copies import copy_findings
from data_prep.check.findings import Finding, ranked
from data_prep.check.forms import form_findings
from data_prep.check.grids import grid_findings
from data_prep.check.intensities import intensity_findings
from data_prep.check.masks import mask_findings
from data_prep.check.mirrors import mirror_findings
from data_prep.check.mixups import mixup_findings
from data_prep.check.sharing import sharing_findings
from data_prep.check.sites import site_findings
from data_prep.check.some_sites import some_findings
from data_prep.check.subject import Subject
from data_prep.check.tables import table_findings
from data_prep.check.unreadable import file_findings

CHECKS: Final[tuple[Callable[[Subject], Iterable[Finding]], ...]] = (
    table_findings,
    file_findings,
    grid_findings,
    form_findings,
    mixup_findings,
    some_findings,
    site_findings,
    mask_findings,
    mirror_findings,
    intensity_findings,
    sharing_findings,
    copy_findings,
)
"""Each looks at a subject and tells what it finds; what comes first is told first among its like."""


def run_checks(subject: Subject) -> list[Finding]:
    """What all checks find, the worst first."""
    return ranked(chain.from_iterable(check(subject) for check in CHECKS))
