from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.metrics import roc_auc_score

from data_prep.phantom.answers import auc_from_rho, field_covariance, patch_offsets
from data_prep.phantom.spec import FieldModel
from data_prep.phantom.texture import AMPLITUDE, log_amplitude_scores, patch_sd_rho, texture_reader

MODEL = FieldModel()
SMALL = replace(MODEL, radius=3)


@pytest.mark.parametrize(
    ("level_sd", "reference", "patch_sd"), [(0.3, 0.761, 0.71), (0.42, 0.734, 0.67), (0.6, 0.714, 0.62)]
)
def test_the_published_answers_are_met(level_sd: float, reference: float, patch_sd: float) -> None:
    assert texture_reader(1, level_sd, MODEL).auc == pytest.approx(reference, abs=0.001)
    assert auc_from_rho(patch_sd_rho(1, level_sd, MODEL)) == pytest.approx(patch_sd, abs=0.005)


def test_a_field_that_is_constant_in_the_patch_leaves_the_level_alone_to_hide_it() -> None:
    constant = replace(MODEL, length=1e4, site_sd=0.0)
    known = np.sqrt(constant.kappa2 * AMPLITUDE**2 / (AMPLITUDE**2 + 0.42**2))
    assert texture_reader(5, 0.42, constant).rho == pytest.approx(known, abs=0.001)
    assert patch_sd_rho(5, 0.42, constant) == pytest.approx(known, abs=0.001)


def test_more_sequences_and_a_steadier_level_help() -> None:
    by_sequences = [texture_reader(count, 0.42, MODEL).auc for count in (1, 2, 3, 5)]
    by_level = [texture_reader(5, level_sd, MODEL).auc for level_sd in (0.6, 0.42, 0.3, 0.1)]
    assert by_sequences == sorted(by_sequences)
    assert by_level == sorted(by_level)
    within = [texture_reader(5, level_sd, MODEL).auc_within for level_sd in (0.42, 0.6)]
    assert within[0] == pytest.approx(within[1])


def test_scores_are_those_of_the_posterior_mode() -> None:
    model, sequences, level_sd = replace(MODEL, radius=2), 2, 0.42
    prior = AMPLITUDE**2 * field_covariance(model) + level_sd**2 + 1e-10 * np.eye(25)
    root, rng = np.linalg.cholesky(prior), np.random.default_rng(0)
    power = np.exp(2 * root @ rng.standard_normal(25)) * rng.chisquare(sequences, 25) / sequences

    def loss(v: np.ndarray) -> float:
        log = root @ v
        return float(sequences * (log + power * np.exp(-2 * log) / 2).sum() + v @ v / 2)

    mode = root @ minimize(loss, np.zeros(25), method="BFGS", options={"gtol": 1e-7}).x
    measured = mode + (power * np.exp(-2 * mode) - 1) / 2
    expected = measured @ texture_reader(sequences, level_sd, model).score
    (score,) = log_amplitude_scores(power[None], sequences, level_sd, model)
    assert score == pytest.approx(expected, abs=1e-4)


def simulate(level_sd: float, sequences: int, biopsies: int) -> tuple[np.ndarray, np.ndarray]:
    """Patches of noise (biopsies, sequences, voxels) and expression g, each biopsy with a site of its own."""
    rng = np.random.default_rng(0)
    voxels = np.pad(patch_offsets(SMALL.radius), ((0, 0), (0, 1)))
    sites = SMALL.site_sd * rng.standard_normal((biopsies, 3))
    patch = field_covariance(SMALL) + 1e-6 * np.eye(len(voxels))
    z = rng.standard_normal((biopsies, len(voxels))) @ np.linalg.cholesky(patch).T
    squared = ((voxels - sites[:, None]) ** 2).sum(axis=-1)
    c = SMALL.tau2 + (1 - SMALL.tau2) * np.exp(-squared / (2 * SMALL.length**2))
    b = np.linalg.solve(patch, c.T).T
    at_site = (b * z).sum(axis=1) + np.sqrt(1 - (b * c).sum(axis=1)) * rng.standard_normal(biopsies)
    log = AMPLITUDE * z + level_sd * rng.standard_normal((biopsies, 1))
    noise = np.exp(log)[:, None] * rng.standard_normal((biopsies, sequences, len(voxels)))
    rest = np.sqrt(1 - SMALL.kappa2) * rng.standard_normal(biopsies)
    return noise, np.sqrt(SMALL.kappa2) * at_site + rest


@pytest.mark.parametrize(("level_sd", "sequences"), [(0.3, 1), (0.42, 5), (0.6, 3)])
def test_simulated_noise_agrees_with_the_closed_forms(level_sd: float, sequences: int) -> None:
    noise, g = simulate(level_sd, sequences, 8000)
    score = log_amplitude_scores(np.square(noise).mean(axis=1), sequences, level_sd, SMALL)
    reader = texture_reader(sequences, level_sd, SMALL)
    patch_sd = auc_from_rho(patch_sd_rho(sequences, level_sd, SMALL))
    assert roc_auc_score(g > 0, score) == pytest.approx(reader.auc, abs=0.02)
    assert roc_auc_score(g > 0, np.log(noise.std(axis=2)).mean(axis=1)) == pytest.approx(patch_sd, abs=0.02)
    assert roc_auc_score(g > 0, noise.mean(axis=(1, 2))) == pytest.approx(0.5, abs=0.02)
