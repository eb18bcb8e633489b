from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom, pearsonr

from data_prep.phantom.fields import draw_field
from data_prep.phantom.map_truth import Truth
from data_prep.phantom.plan import make_plan
from data_prep.phantom.spec import PhantomSpec
from data_prep.phantom.truth_files import TrueSites
from data_prep.phantom.views import Axes
from search.maps.surrogates import correlation_length, effective_size, surrogate_p, thinned

EDGES = np.ones(3)
SURROGATES = 39  # at which p <= .05 has a chance of exactly .05


def truth(**options: object) -> Truth:
    spec = PhantomSpec(**({"participants": 2, "biopsies": 2} | options))  # type: ignore[arg-type]
    return Truth(Path("truth"), make_plan(spec), TrueSites((), np.zeros((0, 3)), np.zeros(0)), {})


def ball(radius: int) -> np.ndarray:
    side = np.arange(-radius, radius + 1)
    return np.asarray(sum(axis**2 for axis in np.meshgrid(side, side, side)) <= radius**2)


def grid(inside: np.ndarray) -> Axes:
    x, y, z = (np.arange(float(count)) for count in inside.shape)
    return x, y, z


def p_values(kind: str, share: float, maps: int) -> tuple[np.ndarray, np.ndarray]:
    """Of maps that correlate with the truth by `share` and less, by surrogates and as if voxels were free."""
    rng, law, inside = np.random.default_rng(0), truth(kind=kind), ball(9)
    near, by_surrogates, naive = thinned(inside, EDGES, law.length_mm), [], []
    for _ in range(maps):
        planted, other = (law.alike(rng, grid(inside)) for _ in range(2))
        found = share * planted + (1 - share) * other
        by_surrogates.append(surrogate_p(found, planted, near, law.alike, rng, SURROGATES))
        naive.append(pearsonr(found[inside], planted[inside]).pvalue)
    return np.array(by_surrogates), np.array(naive)


@pytest.mark.parametrize(("kind", "maps"), [("gaussian", 200), ("interaction", 80)])
def test_of_maps_that_know_nothing_a_twentieth_is_called_significant(kind: str, maps: int) -> None:
    found, naive = p_values(kind, 0.0, maps)
    low, high = binom.ppf([0.005, 0.995], maps, 0.05)
    assert low <= (found <= 0.05).sum() <= high
    assert found.mean() == pytest.approx(0.5, abs=3 / (12 * maps) ** 0.5)
    assert (naive <= 0.05).mean() > 0.7


def test_maps_that_know_much_are_called_significant() -> None:
    found, _ = p_values("gaussian", 0.6, 60)
    assert (found <= 0.05).mean() > 0.85
    assert found.min() == 1 / (SURROGATES + 1)


def test_a_map_that_is_the_truth_beats_every_surrogate_whichever_sign_it_has() -> None:
    rng, law, inside = np.random.default_rng(1), truth(), ball(9)
    planted, near = law.alike(rng, grid(inside)), thinned(inside, EDGES, 6.0)
    for sign in (1, -1):
        assert surrogate_p(sign * planted, planted, near, law.alike, rng, 49) == 0.02
    assert surrogate_p(np.ones(inside.shape), planted, near, law.alike, rng, 49) == 1


def test_the_published_effective_size() -> None:
    assert effective_size(30_000, 6) == pytest.approx(25, abs=0.5)
    assert effective_size(30_000, 12) == pytest.approx(effective_size(30_000, 6) / 8)


def test_the_effective_size_is_the_spread_of_correlations_by_chance() -> None:
    """1 / var(r) of independent fields over a region that is many correlation lengths wide."""
    rng, law = np.random.default_rng(0), truth()
    axes = (np.arange(0.0, 240, 3), np.arange(0.0, 60, 3), np.zeros(1))
    drawn = [law.alike(rng, axes).ravel() for _ in range(120)]
    spread = np.corrcoef(drawn)[np.triu_indices(120, 1)].var()
    in_plane = 240 * 60 / (np.pi * 36)
    assert 1 / spread == pytest.approx(in_plane, rel=0.15)


@pytest.mark.parametrize("length", [3.0, 6.0])
@pytest.mark.parametrize("edges", [(1.0, 1.0, 1.0), (1.0, 1.5, 2.0)])
def test_the_correlation_length_of_a_field_is_found(length: float, edges: tuple[float, float, float]) -> None:
    rng, size = np.random.default_rng(0), 50
    x, y, z = (np.arange(0, size, edge) for edge in edges)
    inside = np.ones((len(x), len(y), len(z)), bool)
    inside[:5], inside[:, -4:] = False, False
    found = [
        correlation_length(7 + 3 * draw_field(size, length, rng).at(x, y, z), inside, np.array(edges))
        for _ in range(6)
    ]
    assert np.mean(found) == pytest.approx(length, rel=0.15)


def test_a_nugget_does_not_shorten_the_correlation_length() -> None:
    rng, inside = np.random.default_rng(0), np.ones((50, 50, 50), bool)
    smooth = draw_field(50, 5.0, rng).at(*grid(inside))
    noisy = smooth + 0.5 * rng.standard_normal(inside.shape)
    plain, found = (correlation_length(field, inside, EDGES) for field in (smooth, noisy))
    assert found == pytest.approx(plain, rel=0.1)


@pytest.mark.parametrize("count", [1, 2])
def test_what_cannot_be_told_has_no_correlation_length(count: int) -> None:
    inside = np.zeros((9, 9, 9), bool)
    inside[4, 4, 4 : 4 + count] = True
    assert correlation_length(np.random.default_rng(0).random((9, 9, 9)), inside, EDGES) is None
    assert correlation_length(np.ones((9, 9, 9)), np.ones((9, 9, 9), bool), EDGES) is None


def test_thinned_voxels_lie_in_the_region_and_on_their_axes() -> None:
    inside = np.zeros((40, 30, 20), bool)
    inside[7:31, 4:26, 3:17] = True
    edges = np.array([0.5, 1.0, 2.5])
    near = thinned(inside, edges, 6.0)
    assert inside[near.voxels].all()
    assert len(near.voxels[0]) == 24 // 4 * 22 // 2 * 14
    for axis, place, voxel, edge in zip(near.axes, near.place, near.voxels, edges, strict=True):
        np.testing.assert_allclose(axis[place], edge * (voxel - voxel.min()))


def test_a_large_region_is_thinned_more() -> None:
    inside = np.ones((100, 100, 100), bool)
    assert len(thinned(inside, EDGES, 6.0).voxels[0]) == 25**3
    assert len(thinned(inside[:60, :60, :60], EDGES, 6.0).voxels[0]) == 30**3


def test_a_small_region_keeps_all_its_voxels() -> None:
    inside = np.zeros((9, 9, 9), bool)
    inside[3:5, 4:6, 2:4] = True
    assert len(thinned(inside, EDGES, 20.0).voxels[0]) == 8
