from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from data_prep.phantom.hidden import draw_hidden, draw_log_level
from data_prep.phantom.plan import Plan, make_plan
from data_prep.phantom.scan import Scan, visit
from data_prep.phantom.spec import PhantomSpec
from data_prep.phantom.texture import AMPLITUDE

PLAN = make_plan(PhantomSpec(participants=2, biopsies=2, size=32, signal="easy", repeats=2))
TEXTURE = make_plan(replace(PLAN.spec, kind="texture"))
INTERACTION = make_plan(replace(PLAN.spec, kind="interaction"))


def scan(plan: Plan = PLAN, session: int = 0) -> Scan:
    return visit(plan, draw_hidden(plan, 0), 0, session)


def with_field(made: Scan, field: np.ndarray) -> Scan:
    """The same visit with another field in place of the first."""
    return replace(made, fields=(field, *made.fields[1:]))


def neutral(plan: Plan) -> Plan:
    """The same plan on scanners without gain or blur."""
    plain = tuple(replace(scanner, gain=np.ones(9), blur=0.0) for scanner in plan.scanners)
    return replace(plan, scanners=plain)


def test_air_is_zero_and_the_head_is_not() -> None:
    made = scan(neutral(PLAN))
    image = made.image(6)
    assert (image[made.anatomy.inside == 0] == 0).all()
    assert image[made.anatomy.head.brain > 0.9].mean() > 3


def test_the_field_adds_to_the_image_by_its_weight() -> None:
    made = scan(neutral(PLAN))
    tumour = made.anatomy.tumour.mask
    without = with_field(made, np.zeros_like(made.driver))
    added = (made.image(0) - without.image(0))[tumour]
    np.testing.assert_allclose(added, PLAN.weights[0] * made.driver[tumour], atol=1e-4)


def test_a_sequence_of_weight_zero_does_not_see_the_field() -> None:
    made = scan()
    without = with_field(made, np.zeros_like(made.driver))
    assert np.array_equal(made.image(8), without.image(8))


def test_a_z_score_over_the_brain_leaves_the_level_of_the_participant() -> None:
    made = scan(neutral(PLAN))
    higher = with_field(made, made.driver + 1)
    brain = made.anatomy.head.brain > 0.5
    gained = higher.image(0)[brain].mean() - made.image(0)[brain].mean()
    assert gained == pytest.approx(0, abs=0.01)


def test_noise_inside_the_tumour_has_unit_variance_and_fades_outside() -> None:
    made = scan(neutral(PLAN))
    flat = replace(
        made,
        fields=(np.zeros_like(made.bias),),
        bias=np.zeros_like(made.bias),
        anatomy=replace(made.anatomy, images=np.zeros_like(made.anatomy.images)),
    )
    near = np.concatenate([flat.image(j)[made.anatomy.tumour.mask] - 0 for j in range(9)])
    remote = made.anatomy.tumour.reach < 0
    far = np.concatenate([flat.image(j)[remote & (made.anatomy.inside > 0.99)] for j in range(9)])
    assert near.var() == pytest.approx(1.25, abs=0.4)
    assert far.var() < 0.6 * near.var()


def test_gain_and_blur_are_those_of_the_scanner() -> None:
    made, plain = scan(), scan(neutral(PLAN))
    scanner = PLAN.scanners[PLAN.scanner[0, 0]]
    assert made.image(4).sum() == pytest.approx(plain.image(4).sum() * scanner.gain[4], rel=1e-3)


def test_a_second_visit_is_half_a_millimetre_off_with_new_noise() -> None:
    first, second = scan(), scan(session=1)
    assert abs(first.driver - second.driver).max() < 0.5
    assert not np.array_equal(first.driver, second.driver)
    gradient = np.linalg.norm(np.gradient(first.anatomy.images[6])[0])
    assert 0 < np.linalg.norm(first.anatomy.images[6] - second.anatomy.images[6]) < 1.5 * gradient
    assert np.corrcoef(first.image(0).ravel(), second.image(0).ravel())[0, 1] < 0.99


def test_a_texture_scales_its_noise_with_the_exponential_of_the_field() -> None:
    made = scan(TEXTURE)
    tumour = made.anatomy.tumour.mask
    silent = with_field(made, np.full_like(made.driver, -2e2)).image(0)[tumour]
    noise = made.image(0)[tumour] - silent
    flat = with_field(made, np.zeros_like(made.driver)).image(0)[tumour] - silent
    np.testing.assert_allclose(noise / flat, np.exp(AMPLITUDE * made.driver[tumour]), rtol=1e-3)
    level = draw_log_level(TEXTURE, 0, 0) + np.log(TEXTURE.scanners[TEXTURE.scanner[0, 0]].gain[0])
    assert np.log(flat.std()) == pytest.approx(level, abs=0.05)
    assert abs(np.corrcoef(noise, made.driver[tumour])[0, 1]) < 4 / np.sqrt(tumour.sum())


def test_a_z_score_over_the_brain_follows_neither_field_nor_level_of_a_texture() -> None:
    made = scan(TEXTURE)
    brain = made.anatomy.head.brain > 0.5
    images = [with_field(made, made.driver + shift).image(0)[brain] for shift in (-1, 0, 1)]
    means, deviations = ([part(image) for image in images] for part in (np.mean, np.std))
    assert np.ptp(means) < 0.02
    assert np.log(deviations[2] / deviations[0]) == pytest.approx(0, abs=0.05 * 2 * AMPLITUDE)


def test_sequences_without_texture_are_those_of_a_gaussian() -> None:
    assert np.array_equal(scan(TEXTURE).image(8), scan(PLAN).image(8))
    assert not np.array_equal(scan(TEXTURE).image(0), scan(PLAN).image(0))


def test_each_field_of_an_interaction_shows_in_a_sequence_of_its_own() -> None:
    made = scan(neutral(INTERACTION))
    tumour = made.anatomy.tumour.mask
    without = with_field(made, np.zeros_like(made.driver))
    changed = [
        sequence for sequence in range(9) if not np.array_equal(made.image(sequence), without.image(sequence))
    ]
    assert changed == [INTERACTION.spec.carriers[0]]
    added = (made.image(changed[0]) - without.image(changed[0]))[tumour]
    np.testing.assert_allclose(added, INTERACTION.weights[changed[0], 0] * made.fields[0][tumour], atol=1e-4)
    np.testing.assert_allclose(made.driver, made.fields[0] * made.fields[1], rtol=1e-6)
