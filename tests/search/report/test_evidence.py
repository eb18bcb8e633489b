"""What is gathered of a study: numbers that agree with those told elsewhere, names that tell nobody."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest

from search.audit.record import LEAK, Audit, Check, write_audit
from search.facts import rule_of
from search.home import StudyFolder
from search.report.belonging import AUDITED
from search.report.evidence import Evidence, expression_of, gather
from search.statistics.honest import estimate_of, honest_estimate


def test_the_estimate_is_the_one_that_show_prints(evidence: Evidence) -> None:
    honest = honest_estimate(evidence.study, rule_of(evidence.study))
    assert honest is not None
    assert evidence.honest is not None
    assert (evidence.honest.estimate, evidence.honest.low) == (honest.estimate, honest.low)
    assert evidence.best is not None
    assert evidence.best.number == honest.trials[0]


def test_what_is_said_of_one_brain_is_bootstrapped_with_the_studys_selection(evidence: Evidence) -> None:
    assert evidence.predictions is not None
    metric = "within_participant_auc"
    own = estimate_of(evidence.predictions, rule_of(evidence.study), "roc_auc", 1000, 0, scored=metric)
    assert evidence.within is not None
    assert evidence.honest is not None
    assert (evidence.within.estimate, evidence.within.metric) == (own.estimate, metric)
    assert evidence.within.trials == evidence.honest.trials


def test_biopsies_have_pseudonyms(evidence: Evidence) -> None:
    assert evidence.names.biopsy[0] == "B001"
    assert evidence.material is not None
    assert not {*evidence.names.biopsy} & {*evidence.material.patches.biopsy_id}


def test_everything_but_the_cohorts_own_is_known_without_the_cohort(evidence: Evidence) -> None:
    home_root = evidence.folder.root.parents[1]
    from search.home import Home

    found = gather(evidence.study, evidence.definition, Home.at(home_root), None)
    assert found.measured["roc_auc"] == evidence.measured["roc_auc"]
    assert found.measured["spearman"].value is None
    assert evidence.measured["spearman"].value is not None
    assert found.names == evidence.names


def test_expression_is_logarithmic(evidence: Evidence) -> None:
    assert evidence.material is not None
    found = expression_of(evidence.material)
    assert np.allclose(2**found - 1, evidence.material.labels.tpm[:, 0])


@pytest.mark.parametrize("known", [True, False])
def test_the_audits_ids_are_pseudonyms_too(evidence: Evidence, known: bool) -> None:
    assert evidence.material is not None
    person = evidence.material.patches.participant_id[0] if known else "of-nobody-in-the-study"
    check = Check("copies", LEAK, "{0} is there twice.", (person,))
    identity = evidence.study.user_attrs["identity"]
    hashes = {part: identity[key] for part, key in AUDITED.items()}
    audit = Audit("shallow", "2026-01-01T00:00:00+00:00", 1.0, hashes, {}, (check,))
    folder: StudyFolder = evidence.folder
    write_audit(folder, audit)
    try:
        from search.report.evidence import _audit

        found = _audit(evidence.study, folder, evidence.names)
    finally:
        (folder.root / "audit.json").unlink()
    assert found is not None
    assert person not in str(asdict(found))
    assert found.checks[0].sentence == ("P01 is there twice." if known else "one left out is there twice.")
    assert replace(evidence, audit=found).leaks == ("copies",)


def test_an_audit_that_was_not_run_is_not_one_that_found_nothing(evidence: Evidence) -> None:
    assert evidence.leaks is None
