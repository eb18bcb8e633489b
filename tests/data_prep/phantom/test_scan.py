from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from data_prep.phantom.hidden import draw_hidden
from data_prep.phantom.plan import Plan, make_plan
from data_prep.phantom.scan import Scan, visit
from data_prep.phantom.spec import PhantomSpec

PLAN = make_plan(PhantomSpec(participants=2, biopsies=2, size=32, signal="easy", repeats=2))


def scan(plan: Plan = PLAN, session: int = 0) -> Scan:
    return visit(plan, draw_hidden(plan, 0), 0, session)


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
    without = replace(made, z=np.zeros_like(made.z))
    added = (made.image(0) - without.image(0))[tumour]
    np.testing.assert_allclose(added, PLAN.spec.weights[0] * made.z[tumour], atol=1e-4)


def test_a_sequence_of_weight_zero_does_not_see_the_field() -> None:
    made = scan()
    without = replace(made, z=np.zeros_like(made.z))
    assert np.array_equal(made.image(8), without.image(8))


def test_a_z_score_over_the_brain_leaves_the_level_of_the_participant() -> None:
    made = scan(neutral(PLAN))
    higher = replace(made, z=made.z + 1)
    brain = made.anatomy.head.brain > 0.5
    gained = higher.image(0)[brain].mean() - made.image(0)[brain].mean()
    assert gained == pytest.approx(0, abs=0.01)


def test_noise_inside_the_tumour_has_unit_variance_and_fades_outside() -> None:
    made = scan(neutral(PLAN))
    flat = replace(
        made,
        z=np.zeros_like(made.z),
        bias=np.zeros_like(made.z),
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
    assert abs(first.z - second.z).max() < 0.5
    assert not np.array_equal(first.z, second.z)
    gradient = np.linalg.norm(np.gradient(first.anatomy.images[6])[0])
    assert 0 < np.linalg.norm(first.anatomy.images[6] - second.anatomy.images[6]) < 1.5 * gradient
    assert np.corrcoef(first.image(0).ravel(), second.image(0).ravel())[0, 1] < 0.99
