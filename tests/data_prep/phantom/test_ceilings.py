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
    assert sorted(null_ceiling(make_plan(COMPLETE)).values()) == [0, 0.5, 0.5, 0.5]


def test_what_was_planted_names_the_sequences() -> None:
    texture, interaction = planted(make_plan(TEXTURE)), planted(make_plan(INTERACTION))
    assert texture["carriers"] == ["FA", "MD", "EPI-C", "FLAIR", "rCBV"]
    shown = {name: weight**2 for name, weight in interaction["weights"].items() if weight}
    assert shown == pytest.approx({"MD": interaction["W"], "rCBV": interaction["W"]})


def test_a_confounded_phantom_has_three_ceilings() -> None:
    """With halves that nearly balance, those of SCIENCE at h 1: within, pooled, scanner alone."""
    found = ceiling(make_plan(replace(COMPLETE, confounding=1.0)))
    keys = ("auc_within_scanner", "auc_bayes", "auc_scanner_alone")
    assert [found[key] for key in keys] == pytest.approx([0.779, 0.916, 0.84], abs=0.01)
    plain = ceiling(make_plan(COMPLETE))
    assert found["auc_bayes_within"] > plain["auc_bayes_within"]
    assert found["auc_complete_by_radius"] == plain["auc_complete_by_radius"]


def test_a_confounded_null_is_read_by_the_scanner_alone() -> None:
    found = null_ceiling(make_plan(replace(COMPLETE, confounding=0.5)))
    assert found["auc_bayes"] == found["auc_scanner_alone"] == pytest.approx(0.69, abs=0.01)
    assert (found["rho"], found["auc_within_scanner"], found["auc_bayes_within"]) == (0, 0.5, 0.5)


def test_undone_displacements_give_back_the_ceiling() -> None:
    plain, displaced = (make_plan(replace(COMPLETE, registration_error=error)) for error in (0.0, 1.0))
    found = ceiling(displaced)
    assert found["auc_registered"] == ceiling(plain)["auc_bayes"]
    assert found["auc_bayes"] == pytest.approx(0.7505, abs=1e-4)


def test_better_sites_raise_the_ceiling_as_published() -> None:
    found = ceiling(make_plan(replace(COMPLETE, site_error=0.0, signal="hard", size=64)))
    assert found["auc_bayes"] == pytest.approx(0.680, abs=0.001)


def test_a_scanner_without_diffusion_lowers_the_ceiling() -> None:
    plain, lacking = (make_plan(replace(COMPLETE, missing_by=by)) for by in ("participant", "scanner"))
    assert ceiling(lacking)["auc_bayes"] < ceiling(plain)["auc_bayes"] - 0.005


def test_radii_that_hold_too_many_voxels_are_left_out() -> None:
    found = ceiling(make_plan(replace(COMPLETE, voxel=(0.5, 0.5, 5.0))))
    assert list(found["auc_complete_by_radius"]) == ["2", "4", "8"]
    assert found["auc_complete_by_radius"]["8"] == pytest.approx(0.761, abs=0.001)
