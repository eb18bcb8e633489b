from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from data_prep.phantom.answers import ideal_reader
from data_prep.phantom.ceilings import ceiling, null_ceiling, planted
from data_prep.phantom.interaction import product_reader
from data_prep.phantom.plan import make_plan
from data_prep.phantom.spec import KINDS, PhantomSpec
from data_prep.phantom.texture import texture_reader

COMPLETE = PhantomSpec(participants=150, biopsies=300, size=24, missing=0.0)
TEXTURE = replace(COMPLETE, kind="texture")
INTERACTION = replace(COMPLETE, kind="interaction")


def test_a_complete_cohort_has_the_ceiling_of_its_signal() -> None:
    found = ceiling(make_plan(COMPLETE))
    reader = ideal_reader(0.4, COMPLETE.model)
    assert found["auc_bayes"] == pytest.approx(reader.auc, abs=1e-5)
    assert found["rho"] == pytest.approx(reader.rho, abs=1e-4)
    assert found["auc_bayes_within"] == pytest.approx(reader.auc_within)
    assert found["auc_complete_by_radius"]["8"] == pytest.approx(reader.auc)


def test_a_complete_texture_has_the_ceiling_of_five_sequences() -> None:
    found, reader = ceiling(make_plan(TEXTURE)), texture_reader(5, 0.42, COMPLETE.model)
    assert found["auc_bayes"] == pytest.approx(reader.auc, abs=1e-5)
    assert found["auc_bayes_within"] == pytest.approx(reader.auc_within)
    assert found["auc_patch_mean"] == 0.5 < found["auc_patch_sd"] < found["auc_bayes"]


@pytest.mark.parametrize("spec", [COMPLETE, TEXTURE], ids=lambda spec: spec.kind)
def test_missing_sequences_lower_every_ceiling(spec: PhantomSpec) -> None:
    full, partial = ceiling(make_plan(spec)), ceiling(make_plan(replace(spec, missing=0.6)))
    for key in ("rho", "auc_bayes", "auc_bayes_within", "accuracy_bayes"):
        assert partial[key] < full[key] - 0.002


@pytest.mark.parametrize("missing", [0.0, 0.6])
def test_an_interaction_has_the_ceiling_of_its_odds_whatever_is_missing(missing: float) -> None:
    found = ceiling(make_plan(replace(INTERACTION, missing=missing)))
    reader = product_reader(1.0, COMPLETE.model.kappa2)
    assert (found["auc_bayes"], found["accuracy_bayes"]) == pytest.approx((reader.auc, reader.accuracy))
    assert found["auc_complete_by_radius"]["8"] == pytest.approx(reader.auc, abs=1e-6)
    assert (found["auc_linear"], found["auc_bayes_within"]) == (0.5, None)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stronger_signal_and_a_larger_patch_raise_the_ceiling(kind: str) -> None:
    found = [
        ceiling(make_plan(replace(COMPLETE, kind=kind, signal=name))) for name in ("hard", "default", "easy")
    ]
    by_radius = list(found[1]["auc_complete_by_radius"].values())
    for series in ([one["auc_bayes"] for one in found], by_radius):
        assert np.diff(series).min() > 0


def test_single_biopsies_have_no_ceiling_within_participants() -> None:
    assert ceiling(make_plan(replace(COMPLETE, biopsies=150)))["auc_bayes_within"] is None


def test_the_null_has_a_ceiling_of_one_half() -> None:
    assert sorted(null_ceiling().values()) == [0, 0.5, 0.5, 0.5]


def test_what_was_planted_names_the_sequences() -> None:
    texture, interaction = planted(make_plan(TEXTURE)), planted(make_plan(INTERACTION))
    assert texture["carriers"] == ["FA", "MD", "EPI-C", "FLAIR", "rCBV"]
    shown = {name: weight**2 for name, weight in interaction["weights"].items() if weight}
    assert shown == pytest.approx({"MD": interaction["W"], "rCBV": interaction["W"]})
