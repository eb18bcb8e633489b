from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from data_prep.phantom.plan import make_plan
from data_prep.phantom.spec import PhantomSpec

SPEC = PhantomSpec(participants=400, biopsies=1300, missing=0.2, repeats=100)


def test_sequences_are_missing_at_the_stated_rate() -> None:
    missing = 1 - make_plan(SPEC).present.mean(axis=0)
    np.testing.assert_allclose(missing, 0.2, atol=0.08)


def test_everybody_keeps_a_sequence_that_carries_the_field() -> None:
    plan = make_plan(replace(SPEC, missing=0.97))
    assert plan.present[:, :5].any(axis=1).all()
    assert (plan.present.sum(axis=1) == 1).any()


def test_half_of_the_repeats_change_the_scanner() -> None:
    plan = make_plan(SPEC)
    moved = plan.scanner[:, 0] != plan.scanner[:, 1]
    assert moved[plan.sessions == 2].mean() == 0.5
    assert (plan.sessions == 2).sum() == 100


def test_the_missing_rate_leaves_the_rest_of_the_plan_alone() -> None:
    one, other = make_plan(SPEC), make_plan(replace(SPEC, missing=0.0))
    assert np.array_equal(one.counts, other.counts)
    assert np.array_equal(one.scanner, other.scanner)


def test_strength_counts_what_is_present() -> None:
    plan = make_plan(PhantomSpec(participants=2, biopsies=2, missing=0.0))
    assert plan.strength(0) == pytest.approx(0.4)
    plan.present[0, 0] = False
    assert plan.strength(0) == pytest.approx(0.4 * (1 - 0.63**2 / 0.9944))


def test_an_interaction_misses_none_of_its_sequences_and_others_as_a_gaussian_does() -> None:
    gaussian, interaction = make_plan(SPEC), make_plan(replace(SPEC, kind="interaction"))
    carriers = list(interaction.spec.carriers)
    assert interaction.present[:, carriers].all()
    assert interaction.present.mean() < 0.9
    assert np.array_equal(gaussian.counts, interaction.counts)


def test_a_texture_counts_the_sequences_that_show_it() -> None:
    plan = make_plan(replace(SPEC, kind="texture", missing=0.5))
    counts = [plan.carriers(index) for index in range(SPEC.participants)]
    assert counts == plan.present[:, :5].sum(axis=1).tolist()
    assert min(counts) == 1
    assert max(counts) == 5


def test_a_scanner_without_diffusion_hides_it_from_all_its_participants() -> None:
    plan = make_plan(replace(SPEC, missing=0.0, missing_by="scanner"))
    without = ~plan.present[:, :2].any(axis=1)
    assert np.array_equal(without, plan.scanner[:, 0] == 2)
    assert plan.present[:, 2:].all()
    moved = (plan.scanner[:, 0] != 2) & (plan.scanner[:, 1] == 2)
    assert moved.any()
    for index in np.flatnonzero(moved)[:5]:
        assert plan.measured(int(index), 0)[:2].all()
        assert not plan.measured(int(index), 1)[:2].any()


def test_whoever_would_see_no_field_gets_a_sequence_that_the_scanner_measures() -> None:
    plan = make_plan(replace(SPEC, missing=0.97, missing_by="scanner"))
    assert plan.present[:, :5].any(axis=1).all()
    assert not plan.present[plan.scanner[:, 0] == 2, :2].any()


def test_expression_shifts_with_the_half_of_the_scanners() -> None:
    plan = make_plan(replace(SPEC, confounding=0.5))
    shifts = np.array([plan.shift(index) for index in range(SPEC.participants)])
    assert set(shifts) == {0.5, -0.5}
    assert abs(shifts.mean()) < 0.1
    assert not any(make_plan(SPEC).shift(index) for index in range(5))
