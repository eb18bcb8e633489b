"""What the suite of bad input holds: 575 cases, each run through the command line, and searches for more."""

from __future__ import annotations

import re

from tests.contracts import (
    test_bad_input_cluster,
    test_bad_input_cohorts,
    test_bad_input_commands,
    test_bad_input_deployment,
    test_bad_input_judging,
    test_bad_input_links,
    test_bad_input_nifti,
    test_bad_input_study,
    test_bad_input_tables,
)

MODULES = (
    test_bad_input_cluster,
    test_bad_input_cohorts,
    test_bad_input_commands,
    test_bad_input_deployment,
    test_bad_input_judging,
    test_bad_input_links,
    test_bad_input_nifti,
    test_bad_input_study,
    test_bad_input_tables,
)
BAR = 150


def test_the_suite_has_as_many_cases_as_it_says() -> None:
    """Different ones: no two break the same thing by the same command."""
    cases = [case for module in MODULES for case in module.CASES]
    stated = re.search(r"(\d+) cases", __doc__ or "")
    assert stated is not None
    assert int(stated[1]) == len(cases) >= BAR
    assert len({(case.name, case.command, case.says) for case in cases}) == len(cases)
