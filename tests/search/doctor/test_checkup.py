from __future__ import annotations

import json

from search.doctor.checkup import Finding, Report

FINDING = Finding("toy", "run left running", "trial 3", "ended as FAILED")


def test_what_was_mended_leaves_nothing() -> None:
    report = Report("/home", dry_run=False)
    report.add(FINDING)
    assert report.exit_code == 0
    assert report.lines() == ["toy: trial 3: run left running: ended as FAILED", "1 found, 1 mended"]


def test_what_was_not_mended_is_said_and_left() -> None:
    report = Report("/home", dry_run=False)
    report.add(FINDING.impossible("the cohort is gone"), FINDING.not_done, FINDING)
    assert report.exit_code == 1
    assert report.lines() == [
        "toy: trial 3: run left running: cannot be mended: the cohort is gone",
        "toy: trial 3: run left running: not mended: it should have been ended as FAILED",
        "toy: trial 3: run left running: ended as FAILED",
        "3 found, 1 mended",
    ]


def test_a_dry_run_mends_nothing() -> None:
    report = Report("/home", dry_run=True)
    report.add(FINDING, Finding("", "unfinished file", ".a.b", "removed"))
    assert report.exit_code == 1
    assert report.lines()[:2] == [
        "toy: trial 3: run left running: would be ended as FAILED",
        ".a.b: unfinished file: would be removed",
    ]


def test_nothing_found_is_nothing_to_mend_whatever_is_noted() -> None:
    report = Report("/home", dry_run=False, notes=["trial 4 runs elsewhere"])
    assert (report.exit_code, report.lines()) == (0, ["trial 4 runs elsewhere", "nothing to mend"])


def test_the_document_has_a_record_for_each_finding() -> None:
    report = Report("/home", dry_run=False)
    report.add(FINDING)
    assert json.loads(json.dumps(report.to_json())) == {
        "home": "/home",
        "dry_run": False,
        "findings": [
            {
                "study": "toy",
                "problem": "run left running",
                "subject": "trial 3",
                "action": "ended as FAILED",
                "mended": True,
            }
        ],
        "notes": [],
        "found": 1,
        "mended": 1,
    }


def test_what_was_not_examined_has_an_exit_code_of_its_own() -> None:
    report = Report("/home", dry_run=True)
    report.not_examined("toy", "the study", "MLflow is gone")
    report.add(FINDING)
    assert (report.exit_code, report.to_json()["findings"][0]["mended"]) == (3, False)
    assert report.lines()[0] == "toy: the study: not examined: cannot be mended: MLflow is gone"
