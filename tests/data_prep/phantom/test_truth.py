from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from data_prep.phantom.plan import make_plan
from data_prep.phantom.spec import KINDS, PhantomSpec
from data_prep.phantom.truth import answers

OUTCOMES = [(np.array([0.3, -0.2]), np.array([1.0, -1.0])), (np.array([0.1]), np.array([-0.5]))]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_answers_the_same_questions(kind: str) -> None:
    plan = make_plan(PhantomSpec(participants=2, biopsies=3, size=24, kind=kind))
    found = answers(plan, OUTCOMES)
    shared = {"spec", "model", "missing_files", "positives", "rho", "auc_bayes", "auc_bayes_within"}
    assert shared | {"accuracy_bayes", "auc_complete_by_radius", "auc_realised"} <= found.keys()
    assert (found["positives"], found["auc_realised"]) == (1, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_the_null_has_a_ceiling_of_one_half(kind: str) -> None:
    found = answers(make_plan(PhantomSpec(participants=2, biopsies=3, signal="none", kind=kind)), OUTCOMES)
    assert [found[key] for key in ("rho", "auc_bayes", "auc_bayes_within", "accuracy_bayes")] == [
        0,
        0.5,
        0.5,
        0.5,
    ]


def test_the_truth_states_scanners_and_agreement() -> None:
    spec = PhantomSpec(participants=2, biopsies=3, size=24, repeats=1, missing_by="scanner")
    found = answers(make_plan(spec), OUTCOMES)
    assert sum(scanner["share"] for scanner in found["scanners"].values()) == pytest.approx(1)
    assert found["scanners"]["scanner-c"]["lacks"] == ["FA", "MD"]
    assert found["icc_same_scanner"] == pytest.approx(0.82, abs=0.006)
    assert found["icc_new_scanner"] == pytest.approx(0.48, abs=0.006)
    assert "icc_same_scanner" not in answers(make_plan(replace(spec, repeats=0)), OUTCOMES)
