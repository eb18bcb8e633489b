from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from data_prep.cohort import read_cohort
from data_prep.phantom import SEQUENCES, PhantomSpec, write_phantom
from data_prep.phantom.agreement import (
    agreements,
    gaussian_agreement,
    ideal_score,
    joint_agreement,
    score_icc,
    texture_agreement,
)
from data_prep.phantom.answers import noise_covariance, patch_covariance, patch_offsets
from data_prep.phantom.hidden import draw_hidden
from data_prep.phantom.joint import plain_channels
from data_prep.phantom.plan import make_plan
from data_prep.phantom.readers import linear_scores
from data_prep.phantom.sites import Sites
from data_prep.phantom.spec import FieldModel
from data_prep.phantom.weights import signal_weights

MODEL = FieldModel()
NEAR = replace(MODEL, radius=5)
WEIGHTS = tuple(signal_weights(PhantomSpec())[:, 0].tolist())
PUBLISHED = [(0.1, 0.70, 0.19), (0.2, 0.75, 0.31), (0.4, 0.82, 0.48), (0.8, 0.88, 0.65)]


@pytest.mark.parametrize(("W", "same", "new"), PUBLISHED)
def test_the_published_table_is_met(W: float, same: float, new: float) -> None:
    found = gaussian_agreement(W, MODEL)
    assert (found.same, found.new) == pytest.approx((same, new), abs=0.006)


def test_a_joint_reader_without_displacements_agrees_with_itself_as_the_mean_does() -> None:
    joint, mean = joint_agreement(plain_channels(WEIGHTS, MODEL), MODEL), gaussian_agreement(0.4, MODEL)
    assert (joint.same, joint.new) == pytest.approx((mean.same, mean.new), abs=1e-9)


def test_displacements_that_are_drawn_anew_cost_agreement() -> None:
    errors = [replace(MODEL, registration_sd=error) for error in (0.0, 1.0, 2.0)]
    found = [joint_agreement(plain_channels(WEIGHTS, model), model) for model in errors]
    for series in ([one.same for one in found], [one.new for one in found]):
        assert series == sorted(series, reverse=True)
    assert found[0].new - found[2].new > 0.02


def test_the_half_millimetre_between_sessions_costs_next_to_nothing() -> None:
    """The formula leaves it out; here it is averaged over directions in the plane and out of it."""
    score, S, offsets = ideal_score(0.4, MODEL), patch_covariance(0.4, MODEL), patch_offsets(MODEL.radius)
    apart = offsets[:, None] - offsets
    between = []
    for move in np.array([(0.5, 0, 0), (0, 0.5, 0), (0, 0, 0.5), (-0.5, 0, 0), (0, -0.5, 0)]):
        squared = ((apart + move[:2]) ** 2).sum(-1) + move[2] ** 2
        z = MODEL.tau2 + (1 - MODEL.tau2) * np.exp(-squared / (2 * MODEL.length**2))
        between.append(score @ (0.4 * z + MODEL.offset_variance) @ score / (score @ S @ score))
    plain = gaussian_agreement(0.4, MODEL).same
    assert score_icc(score, S, noise_covariance(MODEL)) == plain
    assert 0 < plain - np.mean(between) < 0.004


def test_a_texture_agrees_less_where_levels_are_drawn_anew() -> None:
    found = texture_agreement(5, 0.42, MODEL)
    assert found.new < found.same - 0.1
    assert texture_agreement(1, 0.42, MODEL).same < found.same


def icc(pairs: np.ndarray) -> float:
    """ICC(1, 1) of shape (biopsies, sessions), by mean squares."""
    within = np.square(np.diff(pairs, axis=1)).mean() / 2
    between = 2 * pairs.mean(axis=1).var(ddof=1)
    return float((between - within) / (between + within))


def repeated_scores(spec: PhantomSpec) -> dict[str, np.ndarray]:
    """Ideal linear scores of one biopsy a participant in both sessions, by whether the scanner changed."""
    plan, rng = make_plan(spec), np.random.default_rng(0)
    pairs = []
    for index in range(spec.participants):
        true = rng.uniform(6, 17, size=(1, 3))
        sites = Sites(true, true + spec.model.site_sd * rng.standard_normal(true.shape))
        hidden = draw_hidden(plan, index)
        pairs.append([linear_scores(plan, hidden, sites, index, session)[0] for session in (0, 1)])
    moved = plan.scanner[:, 0] != plan.scanner[:, 1]
    return {"same": np.array(pairs)[~moved], "new": np.array(pairs)[moved]}


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="points"),
        pytest.param({"voxel": (2.0, 2.0, 4.0)}, id="thick slices", marks=pytest.mark.slow),
        pytest.param({"registration_error": 1.5}, id="displaced", marks=pytest.mark.slow),
    ],
)
def test_the_measured_agreement_of_a_linear_score_is_its_closed_form(options: dict[str, Any]) -> None:
    """Within four standard errors, (1 - ICC^2) / sqrt(n) each."""
    spec = PhantomSpec(participants=300, biopsies=300, size=24, missing=0.0, repeats=300, **options)
    (expected,) = agreements(make_plan(spec))
    for scanner, pairs in repeated_scores(spec).items():
        known = getattr(expected, scanner)
        assert icc(pairs) == pytest.approx(known, abs=4 * (1 - known**2) / np.sqrt(len(pairs)))


def score_of_images(folder: Path, session: str) -> np.ndarray:
    """The ideal score of a default phantom's written images, without missing sequences, shape (biopsies,)."""
    cohort, b = read_cohort(folder), ideal_score(0.4, NEAR)
    carriers = [(name, weight) for name, weight in zip(SEQUENCES, WEIGHTS, strict=True) if weight]
    scores = []
    for biopsy in cohort.biopsies:
        y = np.zeros(len(b))
        for name, weight in carriers:
            image = nibabel.load(folder / biopsy.participant_id / session / f"{name}.nii.gz")
            x, y0, z = np.floor(np.linalg.inv(image.affine) @ [*biopsy.position, 1] + 0.5).astype(int)[:3]
            patch = np.asarray(image.dataobj)[x - 5 : x + 6, y0 - 5 : y0 + 6, z]
            y += weight / np.sqrt(0.4) * patch.ravel() / 100
        scores.append(float(y @ b))
    return np.array(scores)


@pytest.mark.slow
def test_written_images_repeat_no_better_than_the_closed_form(tmp_path: Path) -> None:
    """Images add a drift of their own to every session, so that a score varies more within a participant.

    The anatomy adds to what sessions share, so that no such law holds for the ICC itself.
    """
    spec = PhantomSpec(participants=24, biopsies=48, size=48, missing=0.0, repeats=24, scanner_shift=0.0)
    write_phantom(tmp_path / "out", spec)
    pairs = np.stack([score_of_images(tmp_path / "out", session) for session in ("ses-1", "ses-2")], axis=1)
    counts = make_plan(spec).counts
    same = np.repeat(np.arange(spec.participants) % 2 == 0, counts)
    within = np.square(np.diff(pairs[same], axis=1)).mean() / 2
    b = ideal_score(0.4, NEAR)
    assert within >= b @ noise_covariance(NEAR) @ b * (1 - 3 * np.sqrt(2 / same.sum()))
