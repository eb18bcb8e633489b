from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import logsumexp, ndtr
from scipy.stats import norm, qmc
from sklearn.metrics import roc_auc_score

from data_prep.phantom.answers import ideal_reader, patch_offsets
from data_prep.phantom.joint import Channel, joint_moments, joint_reader, plain_channels
from data_prep.phantom.spec import FieldModel, PhantomSpec
from data_prep.phantom.weights import signal_weights

MODEL = FieldModel()
WEIGHTS = tuple(signal_weights(PhantomSpec())[:, 0].tolist())


@pytest.mark.parametrize("voxel", [None, (2.0, 2.0, 5.0)])
def test_without_displacements_sequences_are_read_as_their_weighted_mean(
    voxel: tuple[float, float, float] | None,
) -> None:
    model = replace(MODEL, voxel=voxel)
    joint, mean = joint_reader(plain_channels(WEIGHTS, model), model), ideal_reader(0.4, model)
    assert (joint.rho, joint.auc_within) == pytest.approx((mean.rho, mean.auc_within), abs=1e-9)
    score = np.split(joint.score, 5)
    for weight, part in zip(WEIGHTS, score, strict=False):
        np.testing.assert_allclose(part / weight, mean.score / np.sqrt(0.4), atol=1e-9)


def test_the_basis_of_even_patches_loses_nothing() -> None:
    model = replace(MODEL, radius=2, registration_sd=2.0)
    even = plain_channels(WEIGHTS, model)
    skewed = (replace(even[0], axes=((*even[0].axes[0], 2.0 + 1e-7), even[0].axes[1], (0.0,))), *even[1:])
    plain = replace(model, nugget=1e-3)
    assert len(joint_moments(skewed, plain).level) > len(joint_moments(even, plain).level)
    assert joint_reader(skewed, plain).rho == pytest.approx(joint_reader(even, plain).rho, abs=1e-3)


def test_the_further_sequences_are_off_the_less_is_read() -> None:
    models = [replace(MODEL, registration_sd=error) for error in (0.0, 0.5, 1.0, 2.0, 4.0)]
    aucs = [joint_reader(plain_channels(WEIGHTS, model), model).auc for model in models]
    assert aucs == sorted(aucs, reverse=True)
    np.testing.assert_allclose(aucs, [0.7526, 0.7521, 0.7505, 0.7444, 0.7241], atol=1e-4)


class Displaced:
    """Patches of displaced sequences, and their moments at known displacements: a second implementation.

    Sites are exact, so that the images are normal once the displacements are known.
    """

    def __init__(self, model: FieldModel, weights: np.ndarray) -> None:
        self.model, self.weights, self.points = model, weights, patch_offsets(model.radius)
        apart = ((self.points[:, None] - self.points) ** 2).sum(-1)
        noise = np.exp(-apart / (2 * model.noise_length**2)) + model.nugget * np.eye(len(apart))
        self.rest = np.kron(np.eye(len(weights)), noise + model.offset_variance)

    def moments(self, shifts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """S and c at displacements of shape (sequences, 2)."""
        seen = (self.points - shifts[:, None]).reshape(-1, 2)
        w, own = np.repeat(self.weights, len(self.points)), 1 - self.model.tau2
        apart, far = ((seen[:, None] - seen) ** 2).sum(-1), (seen**2).sum(-1)
        z, c = (self.model.tau2 + own * np.exp(-d / (2 * self.model.length**2)) for d in (apart, far))
        return np.outer(w, w) * z + self.rest, w * c

    def draw(self, times: int, each: int) -> tuple[np.ndarray, np.ndarray]:
        """Patches and the field at their sites."""
        rng = np.random.default_rng(0)
        drawn = []
        for _ in range(times):
            S, c = self.moments(self.model.registration_sd * rng.standard_normal((len(self.weights), 2)))
            joint = np.block([[S, c[:, None]], [c[None], np.ones((1, 1))]]) + 1e-9 * np.eye(len(c) + 1)
            drawn.append(rng.standard_normal((each, len(joint))) @ np.linalg.cholesky(joint).T)
        values = np.concatenate(drawn)
        return values[:, :-1], values[:, -1]

    def posterior(self, y: np.ndarray, count: int) -> np.ndarray:
        """The exact probability of a positive label, over displacements by a Sobol sequence."""
        uniform = qmc.Sobol(2 * len(self.weights), seed=1).random(count).clip(1e-6, 1 - 1e-6)
        kappa2, logs, probabilities = self.model.kappa2, [], []
        for shifts in self.model.registration_sd * norm.ppf(uniform).reshape(count, -1, 2):
            S, c = self.moments(shifts)
            factor = np.linalg.cholesky(S)
            white, told = np.linalg.solve(factor, y.T), np.linalg.solve(factor, c)
            logs.append(-(white**2).sum(0) / 2 - np.log(np.diag(factor)).sum())
            probabilities.append(ndtr(np.sqrt(kappa2 / (1 - kappa2 * told @ told)) * (told @ white)))
        weights = np.exp(np.array(logs) - logsumexp(logs, axis=0))
        return (weights * np.array(probabilities)).sum(axis=0)


def test_the_exact_posterior_over_displacements_knows_no_more_than_the_linear_reader() -> None:
    model = replace(MODEL, radius=2, site_sd=0.0, registration_sd=3.0)
    weights = np.sqrt([0.5, 0.3])
    world = Displaced(model, weights)
    y, z = world.draw(200, 40)
    reader = joint_reader(plain_channels(tuple(weights.tolist()), model), model)
    positive = ndtr(np.sqrt(model.kappa2 / (1 - model.kappa2)) * z)
    labels, chance = np.repeat([1, 0], len(z)), np.concatenate([positive, 1 - positive])
    linear, exact = (
        roc_auc_score(labels, np.tile(score, 2), sample_weight=chance)
        for score in (y @ reader.score, world.posterior(y, 128))
    )
    assert linear == pytest.approx(reader.auc, abs=0.015)
    assert exact == pytest.approx(linear, abs=0.001)


def test_moments_are_the_means_over_displacements() -> None:
    model = replace(MODEL, radius=1, site_sd=0.0, registration_sd=2.0)
    weights = np.array([0.6, 0.4])
    found = joint_moments(plain_channels(tuple(weights.tolist()), model), model)
    world, rng = Displaced(model, weights), np.random.default_rng(0)
    drawn = [world.moments(2.0 * rng.standard_normal((2, 2))) for _ in range(8000)]
    S, c = (np.mean([one[part] for one in drawn], axis=0) for part in (0, 1))
    np.testing.assert_allclose(found.total, found.basis.T @ S @ found.basis, atol=0.02)
    np.testing.assert_allclose(found.site, c @ found.basis, atol=0.02)


def test_a_finer_grid_beside_a_coarse_one_is_worth_more_than_either() -> None:
    coarse = Channel(0.5, ((-4.0, -1.0, 2.0, 5.0),) * 2 + ((1.0,),), (3.0, 3.0, 3.0), 0.0)
    fine = Channel(0.5, (tuple(np.arange(-4.0, 5.0)),) * 2 + ((0.0,),), (0.0, 0.0, 0.0), 0.0)
    alone = [joint_reader((channel,), MODEL).rho for channel in (coarse, fine)]
    assert joint_reader((coarse, fine), MODEL).rho > max(alone) + 0.02
