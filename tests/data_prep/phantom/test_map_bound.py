from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import fftconvolve

from data_prep.arrays import DoubleArray
from data_prep.phantom.answers import field_covariance, patch_covariance, site_covariance
from data_prep.phantom.hidden import draw_hidden
from data_prep.phantom.interaction import planted_strength
from data_prep.phantom.joint import Channel
from data_prep.phantom.map_bound import Reach, explained, field_variance, map_bound
from data_prep.phantom.plan import Plan, make_plan
from data_prep.phantom.spec import FieldModel, PhantomSpec
from data_prep.phantom.texture import AMPLITUDE, log_amplitude_scores

PUBLISHED = [("hard", 0.1, 0.58), ("default", 0.4, 0.79), ("easy", 0.8, 0.87)]
PIXELS = 300


def plan_of(**options: object) -> Plan:
    return make_plan(PhantomSpec(**({"missing": 0.0, "participants": 2, "biopsies": 4} | options)))  # type: ignore[arg-type]


def dense(W: float, model: FieldModel) -> tuple[DoubleArray, DoubleArray]:
    """Covariance of the patch without its levels, and its covariance with the field: the science note's."""
    exact = replace(model, site_sd=0.0)
    within = patch_covariance(W, exact) - (W * model.tau2 + model.offset_variance)
    return within, site_covariance(W, exact) - W**0.5 * model.tau2


@pytest.mark.parametrize(("signal", "W", "published"), PUBLISHED)
def test_the_published_table_is_met(signal: str, W: float, published: float) -> None:
    found = map_bound(plan_of(signal=signal), 0, Reach())
    assert found == pytest.approx(published, abs=0.006)
    within, h = dense(W, FieldModel())
    assert found == pytest.approx((h @ np.linalg.solve(within, h) / 0.7) ** 0.5, abs=1e-6)


def field_2d(length: float, rng: np.random.Generator) -> DoubleArray:
    """A slice of a unit field, on a torus, by its spectrum: independent of how phantoms draw theirs."""
    frequency = 2 * np.pi * np.fft.fftfreq(PIXELS)
    power = np.exp(-((length * np.hypot.outer(frequency, frequency)) ** 2) / 2)
    noise = np.fft.fft2(rng.standard_normal((PIXELS, PIXELS)))
    return np.asarray(np.fft.ifft2(noise * np.sqrt(power / power.mean())).real)


def filtered(y: DoubleArray, W: float, model: FieldModel) -> DoubleArray:
    """The posterior mean of the field in each pixel from the patch around it, up to a constant."""
    within, h = dense(W, model)
    edge = 2 * model.radius + 1
    return fftconvolve(y, np.linalg.solve(within, h).reshape(edge, edge), mode="valid")


def image(z: DoubleArray, W: float, rng: np.random.Generator) -> DoubleArray:
    level = 0.5 * rng.standard_normal()
    return np.asarray(W**0.5 * z + field_2d(1.5, rng) + 0.01 * rng.standard_normal(z.shape) + level)


@pytest.mark.parametrize(("signal", "W", "_"), PUBLISHED)
def test_the_best_map_of_simulated_slices_reaches_the_bound(signal: str, W: float, _: float) -> None:
    rng, found, model = np.random.default_rng(0), [], FieldModel()
    inner = slice(model.radius, -model.radius)
    for _draw in range(12):
        z = 0.55 * rng.standard_normal() + 0.7**0.5 * field_2d(6.0, rng)
        score = filtered(image(z, W, rng), W, model)
        found.append(np.corrcoef(score.ravel(), z[inner, inner].ravel())[0, 1])
    bound, se = map_bound(plan_of(signal=signal), 0, Reach()), np.std(found, ddof=1) / len(found) ** 0.5
    assert se < 0.01
    assert np.mean(found) == pytest.approx(bound, abs=3 * se)


def test_the_best_map_of_a_product_reaches_its_bound_if_the_levels_are_told() -> None:
    plan, rng = plan_of(kind="interaction", participants=3, biopsies=6), np.random.default_rng(0)
    W, model, inner = planted_strength(plan.spec), FieldModel(), slice(8, -8)
    for participant in range(3):
        levels = [field.level for field in draw_hidden(plan, participant).fields]
        found = []
        for _ in range(10):
            fields = [0.7**0.5 * field_2d(6.0, rng) for _ in levels]
            shown = [filtered(W**0.5 * f + field_2d(1.5, rng), W, model) for f in fields]
            told = np.prod([u + mean for u, mean in zip(levels, shown, strict=True)], axis=0)
            true = np.prod([u + f[inner, inner] for u, f in zip(levels, fields, strict=True)], axis=0)
            found.append(np.corrcoef(told.ravel(), true.ravel())[0, 1])
        se = np.std(found, ddof=1) / len(found) ** 0.5
        assert np.mean(found) == pytest.approx(map_bound(plan, participant, Reach()), abs=3.5 * se + 0.002)


def test_a_texture_is_read_from_as_many_measurements_as_there_are_voxels_and_sequences() -> None:
    exact = replace(FieldModel(), site_sd=0.0)
    plan = plan_of(kind="texture")
    within = AMPLITUDE**2 * (field_covariance(exact) - exact.tau2) + np.eye(289) / (2 * 5)
    h = site_covariance(AMPLITUDE**2, exact) - AMPLITUDE * exact.tau2
    found = map_bound(plan, 0, Reach())
    assert found == pytest.approx((h @ np.linalg.solve(within, h) / 0.7) ** 0.5, abs=1e-6)


@pytest.mark.parametrize("sequences", [1, 5])
def test_the_posterior_mode_of_simulated_textures_reaches_the_share_that_is_told(sequences: int) -> None:
    """Patches of radius 4 of one participant whose levels are known, here 0."""
    model = FieldModel(tau2=0.0, site_sd=0.0, radius=4)
    rng, Cz = np.random.default_rng(0), field_covariance(model)
    z = rng.standard_normal((4000, len(Cz))) @ np.linalg.cholesky(Cz + 1e-9 * np.eye(len(Cz))).T
    noise = np.exp(AMPLITUDE * z) * rng.standard_normal((sequences, *z.shape))
    score = log_amplitude_scores(np.square(noise).mean(axis=0), sequences, 0.0, model)
    reached = np.corrcoef(score, z[:, len(Cz) // 2])[0, 1]
    axis = tuple(np.arange(-4.0, 5).tolist())
    channel = Channel(AMPLITUDE, (axis, axis, (0.0,)), (0.0, 0.0, 0.0), 0.0)
    assert reached == pytest.approx(explained((channel,), model, sequences) ** 0.5, abs=0.025)


def test_missing_sequences_lower_the_bound_of_who_misses_them() -> None:
    plan = make_plan(PhantomSpec(missing=0.3))
    strengths = [plan.strength(index) for index in range(45)]
    bounds = [map_bound(plan, index, Reach()) for index in range(45)]
    order = np.argsort(strengths, kind="stable")
    assert (np.diff(np.array(bounds)[order]) >= -1e-12).all()
    complete = map_bound(plan_of(), 0, Reach())
    assert min(bounds) < complete - 0.05
    assert max(bounds) <= complete + 1e-9


def test_seeing_farther_never_hurts_and_stops_helping() -> None:
    plan = plan_of()
    wider = [map_bound(plan, 0, Reach(radius)) for radius in (0, 2, 4.5, 8, 16, 100)]
    deeper = [map_bound(plan, 0, Reach(4, depth)) for depth in (0, 1, 2, 6, 100)]
    for series in (wider, deeper):
        assert series == sorted(series)
        assert series[-1] == series[-2]
    assert wider[-1] - wider[-3] < 0.002
    assert map_bound(plan, 0, Reach(4.5)) == map_bound(plan, 0, Reach(5))


def test_the_bound_of_several_slices_is_that_of_the_patch_as_a_whole() -> None:
    x, y, z = (axis.ravel() for axis in np.meshgrid(*[np.arange(-2.0, 3)] * 2, np.arange(-1.0, 2)))
    apart = sum(np.subtract.outer(axis, axis) ** 2 for axis in (x, y, z))
    within = 0.4 * 0.7 * np.exp(-apart / 72) + np.exp(-apart / 4.5) + 1e-4 * np.eye(len(x))
    h = 0.4**0.5 * 0.7 * np.exp(-(x**2 + y**2 + z**2) / 72)
    found = map_bound(plan_of(), 0, Reach(2, 1))
    assert found == pytest.approx((h @ np.linalg.solve(within, h) / 0.7) ** 0.5, abs=1e-6)


@pytest.mark.parametrize(
    "options",
    [{"voxel": (2.0, 2.0, 2.0)}, {"grids": "mixed"}, {"registration_error": 2.0}, {"voxel": (1.0, 1.0, 5.0)}],
    ids=str,
)
def test_every_option_has_a_bound(options: dict[str, object]) -> None:
    found, plain = map_bound(plan_of(**options), 0, Reach()), map_bound(plan_of(), 0, Reach())
    assert 0.7 < found < 0.9
    if "registration_error" in options:
        assert found < plain
    if options.get("voxel") == (1.0, 1.0, 5.0):
        assert found > plain  # a thick voxel is less noisy, and its own mean is what it is held against


def test_a_voxel_shows_less_of_the_field_than_a_point() -> None:
    model, rng = replace(FieldModel(), voxel=(6.0, 6.0, 6.0)), np.random.default_rng(0)
    one, other = rng.uniform(-3, 3, size=(2, 200_000, 3))
    expected = 0.7 * np.exp(-((one - other) ** 2).sum(axis=1) / 72).mean()
    assert field_variance(model) == pytest.approx(expected, rel=0.005)
    assert field_variance(FieldModel()) == pytest.approx(0.7)
