from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import pdist

from data_prep.phantom.sites import allocate, draw_sites
from data_prep.phantom.spec import PhantomSpec
from data_prep.problems import InputError

SPEC = PhantomSpec(size=40)


def ball(radius: float, size: int = 40) -> np.ndarray:
    return np.linalg.norm(np.indices((size,) * 3) - (size - 1) / 2, axis=0) < radius


@given(data=st.data(), participants=st.integers(2, 60), seed=st.integers(0, 99))
def test_every_biopsy_is_given_to_someone_who_has_room(
    data: st.DataObject, participants: int, seed: int
) -> None:
    biopsies = data.draw(st.integers(participants, 8 * participants))
    counts = allocate(biopsies, participants, np.random.default_rng(seed))
    assert counts.sum() == biopsies
    assert len(counts) == participants
    assert 1 <= counts.min() <= counts.max() <= 8


@pytest.mark.parametrize("seed", range(5))
def test_true_sites_are_in_the_tumour_and_apart(seed: int) -> None:
    tumour = ball(10)
    sites = draw_sites(tumour, 8, SPEC, np.random.default_rng(seed))
    assert tumour[tuple(np.rint(sites.true).astype(int).T)].all()
    assert pdist(sites.true).min() >= SPEC.spacing


@pytest.mark.parametrize("seed", range(5))
def test_recorded_sites_leave_room_for_a_patch(seed: int) -> None:
    sites = draw_sites(ball(18), 8, SPEC, np.random.default_rng(seed))
    assert sites.recorded[:, :2].min() >= SPEC.room
    assert sites.recorded[:, :2].max() <= 39 - SPEC.room
    assert sites.recorded[:, 2].min() >= 2


def test_the_error_of_recording_has_the_stated_size() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_sites(ball(4), 1, SPEC, rng) for _ in range(800)]
    errors = np.concatenate([sites.recorded - sites.true for sites in drawn])
    np.testing.assert_allclose(errors.std(axis=0), SPEC.model.site_sd, rtol=0.1)
    np.testing.assert_allclose(errors.mean(axis=0), 0, atol=0.35)


def test_sites_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match=r"8 sites at least 5 mm apart do not fit .* Choose a larger size"):
        draw_sites(ball(3), 8, SPEC, np.random.default_rng(0))
