from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from data_prep.phantom.answers import ideal_reader
from data_prep.phantom.interaction import ODDS, field_strength, posterior, product_reader
from data_prep.phantom.spec import FieldModel

MODEL = FieldModel()
PUBLISHED = [(0.5, 0.605), (1.0, 0.661), (2.0, 0.725), (4.0, 0.783)]


def simulate(q: float, biopsies: int = 200_000) -> tuple[np.ndarray, np.ndarray]:
    """What is seen of two fields, shape (biopsies, 2), and the labels of their product."""
    rng = np.random.default_rng(0)
    z = rng.standard_normal((biopsies, 2))
    rest = np.sqrt(1 - MODEL.kappa2) * rng.standard_normal(biopsies)
    return z + rng.standard_normal(z.shape) / np.sqrt(q), np.sqrt(MODEL.kappa2) * z.prod(axis=1) + rest > 0


@pytest.mark.parametrize(("q", "published"), PUBLISHED)
def test_the_published_answers_are_met(q: float, published: float) -> None:
    assert product_reader(q, MODEL.kappa2).auc == pytest.approx(published, abs=0.003)


@pytest.mark.parametrize("q", [0.5, 2.0])
def test_simulated_products_reach_the_answer_and_linear_scores_do_not(q: float) -> None:
    x, label = simulate(q)
    reader, p = product_reader(q, MODEL.kappa2), posterior(x[:50_000], q, MODEL.kappa2)
    assert roc_auc_score(label, x.prod(axis=1)) == pytest.approx(reader.auc, abs=0.005)
    assert roc_auc_score(label[:50_000], p) == pytest.approx(reader.auc, abs=0.008)
    assert ((p > 0.5) == label[:50_000]).mean() == pytest.approx(reader.accuracy, abs=0.008)
    for direction in ((1, 0), (0, 1), (1, 1), (1, -1)):
        assert roc_auc_score(label, x @ direction) == pytest.approx(0.5, abs=0.005)


@given(st.floats(-4, 4), st.floats(-4, 4), st.sampled_from([0.5, 1.0, 2.0]))
def test_the_posterior_is_that_of_a_plain_integral(a: float, b: float, q: float) -> None:
    """The integral over the second field is known; that over the first is a fine sum."""
    z, step = np.linspace(-8, 8, 4001, retstep=True)
    spread, gain = 1 / np.sqrt(1 + q), np.sqrt(MODEL.kappa2 / (1 - MODEL.kappa2))
    first = a * q / (1 + q) + spread * z
    inner = norm.cdf(gain * first * (b * q / (1 + q)) / np.sqrt(1 + (gain * first * spread) ** 2))
    expected = (norm.pdf(z) * inner).sum() * step
    assert posterior(np.array([a, b]), q, MODEL.kappa2) == pytest.approx(expected, abs=0.01)


@given(st.floats(-4, 4), st.floats(-4, 4))
def test_flipping_both_fields_changes_nothing_and_flipping_one_the_label(a: float, b: float) -> None:
    p, both, one = posterior(np.array([[a, b], [-a, -b], [a, -b]]), 1.0, MODEL.kappa2)
    assert both == pytest.approx(p)
    assert one == pytest.approx(1 - p)


@pytest.mark.parametrize("q", sorted(set(ODDS.values())))
def test_the_strength_of_a_field_is_solved_for_its_odds(q: float) -> None:
    R2 = ideal_reader(field_strength(q, MODEL), MODEL).rho ** 2 / MODEL.kappa2
    assert pytest.approx(q, abs=1e-6) == R2 / (1 - R2)


def test_odds_that_no_strength_reaches_are_refused() -> None:
    with pytest.raises(ValueError, match=r"that some strength reaches, below 2\.8\d, but got 4"):
        field_strength(4.0, MODEL)
