"""Means whose errors know that biopsies of a participant go together."""

from __future__ import annotations

import numpy as np
import pytest

from search.explaining.averages import average, clustered_mean


def test_with_one_biopsy_each_the_error_is_the_textbooks() -> None:
    values = np.random.default_rng(0).normal(size=(30, 2, 3))
    mean, error = clustered_mean(values, np.arange(30))
    np.testing.assert_allclose(mean, values.mean(axis=0))
    np.testing.assert_allclose(error, values.std(axis=0, ddof=1) / np.sqrt(30))


def test_biopsies_that_repeat_their_participant_add_nothing() -> None:
    values = np.random.default_rng(1).normal(size=20)
    _, single = clustered_mean(values, np.arange(20))
    _, copied = clustered_mean(np.repeat(values, 4), np.repeat(np.arange(20), 4))
    assert copied == pytest.approx(single)


def test_the_error_is_how_means_scatter_when_participants_are_drawn() -> None:
    rng = np.random.default_rng(2)
    size = rng.integers(1, 6, 60)
    who = np.repeat(np.arange(60), size)
    cohorts = rng.normal(size=(2000, 60))[:, who] + rng.normal(size=(2000, len(who)))
    errors = [clustered_mean(one, who)[1] for one in cohorts[:200]]
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(cohorts.mean(axis=1).std(), rel=0.06)


def test_what_a_biopsy_lacks_does_not_count() -> None:
    values = np.array([[1.0, np.nan], [-3.0, np.nan], [np.nan, np.nan], [4.0, 2.0]])
    found = average(values, np.array([0, 0, 1, 2]))
    np.testing.assert_allclose(found.mean, [2 / 3, 2.0])
    np.testing.assert_allclose(found.absolute, [8 / 3, 2.0])
    np.testing.assert_array_equal(found.count, [3, 1])
    assert np.isfinite(found.error[0])
    assert np.isnan(found.error[1])  # one participant
    assert np.isnan(average(values[:, 1:][:3], np.array([0, 0, 1])).mean[0])
