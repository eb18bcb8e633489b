from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from data_prep.phantom.hidden import draw_hidden, draw_log_level, draw_misplacement
from data_prep.phantom.lattice import lattice_of
from data_prep.phantom.plan import Plan, make_plan
from data_prep.phantom.scan import Scan, Visit, visit
from data_prep.phantom.spec import SEQUENCES, PhantomSpec
from data_prep.phantom.texture import AMPLITUDE

PLAN = make_plan(PhantomSpec(participants=2, biopsies=2, size=32, signal="easy", repeats=2))
TEXTURE = make_plan(replace(PLAN.spec, kind="texture"))
INTERACTION = make_plan(replace(PLAN.spec, kind="interaction"))


def seen(plan: Plan = PLAN, session: int = 0) -> Visit:
    return visit(plan, draw_hidden(plan, 0), 0, session)


def scan(plan: Plan = PLAN, session: int = 0) -> Scan:
    return seen(plan, session).scan()


TUMOUR = seen().anatomy.tumour.mask
BRAIN = seen().anatomy.head.brain > 0.5


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
    assert (image[made.tissue.inside == 0] == 0).all()
    assert image[BRAIN].mean() > 3


def test_the_field_adds_to_the_image_by_its_weight() -> None:
    made = scan(neutral(PLAN))
    without = with_field(made, np.zeros_like(made.driver))
    added = (made.image(0) - without.image(0))[TUMOUR]
    np.testing.assert_allclose(added, PLAN.weights[0] * made.driver[TUMOUR], atol=1e-4)


def test_a_sequence_of_weight_zero_does_not_see_the_field() -> None:
    made = scan()
    without = with_field(made, np.zeros_like(made.driver))
    assert np.array_equal(made.image(8), without.image(8))


def test_a_z_score_over_the_brain_leaves_the_level_of_the_participant() -> None:
    made = scan(neutral(PLAN))
    higher = with_field(made, made.driver + 1)
    gained = higher.image(0)[BRAIN].mean() - made.image(0)[BRAIN].mean()
    assert gained == pytest.approx(0, abs=0.01)


def test_noise_inside_the_tumour_has_unit_variance_and_fades_outside() -> None:
    made = scan(neutral(PLAN))
    flat = replace(
        made,
        fields=(np.zeros_like(made.bias),),
        bias=np.zeros_like(made.bias),
        tissue=replace(made.tissue, images=dict.fromkeys(range(9), np.zeros_like(made.bias))),
    )
    near = np.concatenate([flat.image(j)[TUMOUR] for j in range(9)])
    remote = made.tissue.reach < 0
    far = np.concatenate([flat.image(j)[remote & (made.tissue.inside > 0.99)] for j in range(9)])
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
    gradient = np.linalg.norm(np.gradient(first.tissue.images[6])[0])
    assert 0 < np.linalg.norm(first.tissue.images[6] - second.tissue.images[6]) < 1.5 * gradient
    assert np.corrcoef(first.image(0).ravel(), second.image(0).ravel())[0, 1] < 0.99


def test_a_texture_scales_its_noise_with_the_exponential_of_the_field() -> None:
    made = scan(TEXTURE)
    silent = with_field(made, np.full_like(made.driver, -2e2)).image(0)[TUMOUR]
    noise = made.image(0)[TUMOUR] - silent
    flat = with_field(made, np.zeros_like(made.driver)).image(0)[TUMOUR] - silent
    np.testing.assert_allclose(noise / flat, np.exp(AMPLITUDE * made.driver[TUMOUR]), rtol=1e-3)
    level = draw_log_level(TEXTURE, 0, 0) + np.log(TEXTURE.scanners[TEXTURE.scanner[0, 0]].gain[0])
    assert np.log(flat.std()) == pytest.approx(level, abs=0.05)
    assert abs(np.corrcoef(noise, made.driver[TUMOUR])[0, 1]) < 4 / np.sqrt(TUMOUR.sum())


def test_a_z_score_over_the_brain_follows_neither_field_nor_level_of_a_texture() -> None:
    made = scan(TEXTURE)
    images = [with_field(made, made.driver + shift).image(0)[BRAIN] for shift in (-1, 0, 1)]
    means, deviations = ([part(image) for image in images] for part in (np.mean, np.std))
    assert np.ptp(means) < 0.02
    assert np.log(deviations[2] / deviations[0]) == pytest.approx(0, abs=0.05 * 2 * AMPLITUDE)


def test_sequences_without_texture_are_those_of_a_gaussian() -> None:
    assert np.array_equal(scan(TEXTURE).image(8), scan(PLAN).image(8))
    assert not np.array_equal(scan(TEXTURE).image(0), scan(PLAN).image(0))


def test_each_field_of_an_interaction_shows_in_a_sequence_of_its_own() -> None:
    made = scan(neutral(INTERACTION))
    without = with_field(made, np.zeros_like(made.driver))
    changed = [
        sequence for sequence in range(9) if not np.array_equal(made.image(sequence), without.image(sequence))
    ]
    assert changed == [INTERACTION.spec.carriers[0]]
    added = (made.image(changed[0]) - without.image(changed[0]))[TUMOUR]
    np.testing.assert_allclose(added, INTERACTION.weights[changed[0], 0] * made.fields[0][TUMOUR], atol=1e-4)
    np.testing.assert_allclose(made.driver, made.fields[0] * made.fields[1], rtol=1e-6)


def made_with(**options: object) -> Visit:
    return seen(neutral(make_plan(replace(PLAN.spec, **options))))  # type: ignore[arg-type]


def test_large_voxels_are_the_means_of_small_ones() -> None:
    """Field and noise exactly; the anatomy is averaged on its way."""
    fine, coarse = (made_with(voxel=(edge, edge, 1.0)).scan() for edge in (1.0, 2.0))
    blocks = fine.driver.reshape(16, 2, 16, 2, 32).mean(axis=(1, 3))
    np.testing.assert_allclose(coarse.driver, blocks, atol=1e-4)
    tissue = fine.tissue.images[6].reshape(16, 2, 16, 2, 32).mean(axis=(1, 3))
    np.testing.assert_allclose(coarse.tissue.images[6], tissue, atol=1e-4)


def test_masks_hold_what_is_more_than_half_inside() -> None:
    anatomy = made_with(voxel=(2.0, 2.0, 4.0)).anatomy
    brain, tumour = anatomy.masks(lattice_of(PhantomSpec(size=32, voxel=(2.0, 2.0, 4.0))))
    assert brain.shape == tumour.shape == (16, 16, 8)
    assert brain[tumour].all()
    assert brain.mean() == pytest.approx(BRAIN.mean(), abs=0.02)
    assert tumour.mean() == pytest.approx(TUMOUR.mean(), rel=0.2)


def test_a_registration_error_moves_each_sequence_but_the_reference() -> None:
    plain, displaced = made_with(), made_with(registration_error=1.5)
    for sequence in range(9):
        error = draw_misplacement(displaced.plan, 0, 0, sequence)
        scans = [made.scan(sequence) for made in (plain, displaced)]
        if SEQUENCES[sequence] == "T1Gd":
            assert np.array_equal(scans[0].image(sequence), scans[1].image(sequence))
            continue
        assert error[:2].all()
        assert error[2] == 0
        where = [ndimage.center_of_mass(scan.tissue.images[sequence]) for scan in scans]
        np.testing.assert_allclose(np.subtract(where[1], where[0]), error, atol=0.3)
        assert not np.array_equal(scans[0].driver, scans[1].driver)


def test_errors_of_registration_have_the_stated_deviation_and_are_new_in_each_session() -> None:
    plan = make_plan(PhantomSpec(participants=100, biopsies=100, registration_error=2.0))
    errors = np.array(
        [draw_misplacement(plan, index, session, 0)[:2] for index in range(100) for session in (0, 1)]
    )
    assert errors.std() == pytest.approx(2.0, rel=0.1)
    assert abs(np.corrcoef(errors[::2].ravel(), errors[1::2].ravel())[0, 1]) < 0.3


def test_confounded_scanners_move_the_signal_in_the_tumour() -> None:
    plan = make_plan(replace(PLAN.spec, confounding=1.0))
    levels = []
    for half in (1, 0, -1):
        scanners = tuple(replace(one, half=half, gain=np.ones(9), blur=0.0) for one in plan.scanners)
        levels.append(scan(replace(plan, scanners=scanners)).image(8)[TUMOUR].mean())
    np.testing.assert_allclose(np.diff(levels), -1, atol=0.01)


def test_all_images_of_a_visit_share_a_drift_that_is_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = seen(), seen(session=1)
    monkeypatch.delattr("data_prep.phantom.scan.draw_field")
    scans = [first.scan(0), first.scan(6), first.scan()]
    assert all(np.array_equal(one.bias, scans[0].bias) for one in scans)
    assert scans[0].bias.std() > 0
    assert not np.array_equal(scans[0].bias, second.scan(0).bias)


def test_mixed_grids_sample_the_same_anatomy() -> None:
    made = made_with(grids="mixed")
    shapes = [made.image(SEQUENCES.index(name)).shape for name in ("T1Gd", "FLAIR", "rCBV", "FA")]
    assert shapes == [(32, 32, 32), (32, 32, 11), (16, 16, 11), (16, 16, 16)]
