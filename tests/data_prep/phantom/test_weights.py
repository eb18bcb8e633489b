from __future__ import annotations

import numpy as np
import pytest

from data_prep.phantom.interaction import ODDS, odds
from data_prep.phantom.spec import SIGNALS, PhantomSpec
from data_prep.phantom.weights import STRENGTHS, signal_weights


@pytest.mark.parametrize("signal", SIGNALS)
def test_squared_weights_of_a_gaussian_sum_to_the_strength_of_the_signal(signal: str) -> None:
    weights = signal_weights(PhantomSpec(signal=signal))
    assert np.square(weights).sum() == pytest.approx(STRENGTHS[signal])
    assert weights.shape == (9, 1)
    assert (weights[5:] == 0).all()


def test_a_texture_adds_nothing_to_any_signal() -> None:
    assert not signal_weights(PhantomSpec(kind="texture")).any()


@pytest.mark.parametrize("signal", SIGNALS)
def test_the_fields_of_an_interaction_have_a_sequence_each_and_the_stated_odds(signal: str) -> None:
    spec = PhantomSpec(kind="interaction", signal=signal)
    weights = signal_weights(spec)
    assert np.count_nonzero(weights, axis=0).tolist() == [1, 1]
    assert np.count_nonzero(weights, axis=1).max() == 1
    for field in range(2):
        W = float(np.square(weights[:, field]).sum())
        assert odds(W, spec.model) == pytest.approx(ODDS[signal], abs=1e-6)
