"""The sample sizes: against closed forms and a simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.report.sample_size import for_half_width, for_power, standard_error


def test_half_the_width_takes_four_times_the_participants() -> None:
    assert for_half_width(45, 0.5, 0.7, 0.1) == 45
    assert for_half_width(45, 0.5, 0.7, 0.05) == 180


@given(st.integers(2, 500), st.floats(0.02, 0.5), st.floats(0.01, 0.2))
def test_so_many_participants_do_narrow_the_interval_so_far_and_one_less_does_not(
    participants: int, half: float, target: float
) -> None:
    needed = for_half_width(participants, 0.5 - half, 0.5 + half, target)
    assert half * np.sqrt(participants / needed) <= target * (1 + 1e-6)
    if needed > 1:
        assert half * np.sqrt(participants / (needed - 1)) > target * (1 - 1e-6)


def test_a_study_of_that_size_finds_the_signal_as_often_as_promised() -> None:
    """With the standard error of an interval at n, at n' the test rejects in 80 % of draws."""
    low, high = 0.41, 0.63
    needed = for_power(45, low, high, 0.65)
    error = standard_error(low, high) * np.sqrt(45 / needed)
    found = np.random.default_rng(0).normal(0.65, error, 200_000)
    assert np.mean(found - 1.6449 * error > 0.5) == pytest.approx(0.8, abs=0.01)


def test_chance_itself_cannot_be_found() -> None:
    with pytest.raises(ValueError, match="an AUC above"):
        for_power(45, 0.4, 0.6, 0.5)
