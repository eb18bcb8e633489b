from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from data_prep.phantom.answers import ideal_reader
from data_prep.phantom.hidden import draw_hidden
from data_prep.phantom.plan import make_plan
from data_prep.phantom.sites import Sites
from data_prep.phantom.spec import PhantomSpec
from data_prep.phantom.truth import answers, ceiling, ideal_probits

COMPLETE = PhantomSpec(participants=150, biopsies=300, size=24, missing=0.0)


def test_a_complete_cohort_has_the_ceiling_of_its_signal() -> None:
    found = ceiling(make_plan(COMPLETE))
    reader = ideal_reader(0.4, COMPLETE.model)
    assert found["auc_bayes"] == pytest.approx(reader.auc, abs=1e-5)
    assert found["rho"] == pytest.approx(reader.rho, abs=1e-4)
    assert found["auc_bayes_within"] == pytest.approx(reader.auc_within)
    assert found["auc_complete_by_radius"]["8"] == pytest.approx(reader.auc)


def test_missing_sequences_lower_every_ceiling() -> None:
    full, partial = ceiling(make_plan(COMPLETE)), ceiling(make_plan(replace(COMPLETE, missing=0.3)))
    for key in ("rho", "auc_bayes", "auc_bayes_within", "accuracy_bayes"):
        assert partial[key] < full[key] - 0.005


def test_single_biopsies_have_no_ceiling_within_participants() -> None:
    assert ceiling(make_plan(replace(COMPLETE, biopsies=150)))["auc_bayes_within"] is None


def test_the_null_has_a_ceiling_of_one_half() -> None:
    plan = make_plan(replace(COMPLETE, signal="none"))
    found = answers(plan, [(np.arange(2.0), np.array([-1.0, 1.0]))])
    assert (found["rho"], found["auc_bayes"], found["auc_bayes_within"], found["accuracy_bayes"]) == (
        0,
        0.5,
        0.5,
        0.5,
    )


def test_ideal_probits_correlate_with_the_planted_field_as_computed() -> None:
    spec = replace(COMPLETE, signal="easy")
    plan, rng = make_plan(spec), np.random.default_rng(0)
    probits, fields = [], []
    for index in range(150):
        hidden = draw_hidden(plan, index)
        true = rng.uniform(6, 17, size=(2, 3))
        sites = Sites(true, true + spec.model.site_sd * rng.standard_normal((2, 3)))
        probits.extend(ideal_probits(plan, hidden, sites, index))
        fields.extend(hidden.at(*site[:, None]).item() for site in true)
    rho = ideal_reader(0.8, spec.model).rho
    assert np.corrcoef(probits, fields)[0, 1] == pytest.approx(rho / np.sqrt(spec.model.kappa2), abs=0.12)
    assert np.std(probits) == pytest.approx(rho / np.sqrt(1 - rho**2), rel=0.2)
