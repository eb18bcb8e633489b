from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import cumulative_trapezoid, trapezoid
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from data_prep.phantom.answers import accuracy_from_rho, ideal_reader
from data_prep.phantom.confounding import (
    scanner_accuracy,
    scanner_auc,
    shifted_accuracy,
    shifted_auc,
    shifted_within_auc,
    within_scanner_auc,
)
from data_prep.phantom.spec import FieldModel

MODEL = FieldModel()
READER = ideal_reader(0.4, MODEL)
PUBLISHED = [(0.0, 0.753, 0.753, 0.50), (0.5, 0.759, 0.817, 0.69), (1.0, 0.779, 0.916, 0.84)]


@pytest.mark.parametrize(("h", "within", "pooled", "alone"), PUBLISHED)
def test_the_published_answers_are_met(h: float, within: float, pooled: float, alone: float) -> None:
    rhos, shifts = [READER.rho] * 2, [h, -h]
    assert within_scanner_auc(rhos, shifts) == pytest.approx(within, abs=0.001)
    assert shifted_auc(rhos, shifts) == pytest.approx(pooled, abs=0.001)
    assert scanner_auc(shifts) == pytest.approx(alone, abs=0.005)


@given(rho=st.floats(0.1, 0.9), h=st.floats(0, 2))
def test_within_a_scanner_the_integral_of_the_note_is_met(rho: float, h: float) -> None:
    m = np.linspace(-9, 9, 6001)
    f1 = norm.pdf(m) * norm.cdf((rho * m + h) / np.sqrt(1 - rho**2))
    f0, p = norm.pdf(m) - f1, norm.cdf(h)
    expected = trapezoid(f1 * cumulative_trapezoid(f0, m, initial=0), m) / (p * (1 - p))
    assert shifted_auc([rho], [h]) == pytest.approx(expected, abs=1e-4)
    assert within_scanner_auc([rho, rho], [h, -h]) == pytest.approx(expected, abs=1e-4)


@given(rhos=st.lists(st.floats(0.1, 0.9), min_size=1, max_size=4))
def test_without_a_shift_the_accuracy_is_the_mean_of_the_ruler(rhos: list[float]) -> None:
    expected = np.mean([accuracy_from_rho(rho) for rho in rhos])
    assert shifted_accuracy(rhos, [0.0] * len(rhos)) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("h", [0.5, 1.0])
def test_simulated_biopsies_of_unequal_scanners_reach_the_answers(h: float) -> None:
    rng = np.random.default_rng(0)
    half, rho = np.repeat([1, 1, -1], 60_000), np.tile([0.3, 0.7], 90_000)
    score, rest = rng.standard_normal((2, len(half)))
    label = rho * score + np.sqrt(1 - rho**2) * rest + h * half > 0
    t = (rho * score + h * half) / np.sqrt(1 - rho**2)
    shifts = (h * half).tolist()
    assert roc_auc_score(label, t) == pytest.approx(shifted_auc(rho.tolist(), shifts), abs=0.005)
    assert ((t > 0) == label).mean() == pytest.approx(shifted_accuracy(rho.tolist(), shifts), abs=0.005)
    assert roc_auc_score(label, half) == pytest.approx(scanner_auc(shifts), abs=0.005)
    assert ((half > 0) == label).mean() == pytest.approx(scanner_accuracy(shifts), abs=0.005)


def test_pairs_of_one_participant_are_as_simulated() -> None:
    rng, h, q = np.random.default_rng(0), 0.8, MODEL.kappa2 * MODEL.tau2
    level = np.sqrt(q) * rng.standard_normal((200_000, 1))
    g = level + np.sqrt(1 - q) * rng.standard_normal((200_000, 2))
    score = g + 1.2 * rng.standard_normal(g.shape)
    mixed = (g > -h).sum(axis=1) == 1
    upper = np.where(g[:, 0] > g[:, 1], score[:, 0] - score[:, 1], score[:, 1] - score[:, 0])
    plain = (g > 0).sum(axis=1) == 1
    at_zero = (upper[plain] > 0).mean()
    assert shifted_within_auc(at_zero, q, h) == pytest.approx((upper[mixed] > 0).mean(), abs=0.005)


def test_pairs_of_one_participant_without_a_shift_keep_their_answer() -> None:
    q = MODEL.kappa2 * MODEL.tau2
    assert shifted_within_auc(READER.auc_within, q, 0.0) == pytest.approx(READER.auc_within, abs=1e-4)
    sides = [shifted_within_auc(READER.auc_within, q, h) for h in (1.0, -1.0)]
    assert sides[0] == pytest.approx(sides[1])
