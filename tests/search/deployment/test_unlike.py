"""The distance from the training patches: closed forms, a second plain implementation, Gaussian draws."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.lib.npyio import NpzFile
from scipy.stats import binom
from sklearn.covariance import LedoitWolf

from data_prep.patch_set import PatchRequest, PatchSet
from data_prep.problems import InputError
from search.deployment.facts import REFERENCE, REFERENCE_INPUT
from search.deployment.unlike import (
    Gaussian,
    Reference,
    describe,
    fit_gaussian,
    fit_reference,
    left_out,
    read_reference,
    write_reference,
)

SEQUENCES = ("T1", "T2", "FA")
RADIUS = 2


def patch_set(
    seed: int,
    n: int = 200,
    a_participant: int = 4,
    radius: int = RADIUS,
    shift: float = 0.0,
    present: np.ndarray | None = None,
    slices: int = 1,
) -> PatchSet:
    """Patches whose mean and spread are drawn; `shift` is another scanner's, in deviations of the mean."""
    rng = np.random.default_rng(seed)
    count, edge = len(SEQUENCES), 2 * radius + 1
    level = rng.normal(shift, 1.0, size=(n, 1, 1, count))
    spread = np.exp(rng.normal(0.0, 0.2, size=(n, 1, 1, count)))
    raw = np.tile(level, slices) + np.tile(spread, slices) * rng.normal(size=(n, edge, edge, slices * count))
    shown = np.ones((n, count), dtype=bool) if present is None else present
    return PatchSet(
        raw=(raw * np.tile(shown, slices)[:, None, None, :]).astype(np.float32),
        padding=np.zeros((n, edge, edge, slices), dtype=bool),
        present=shown,
        mean=np.zeros((n, count), dtype=np.float32),
        std=np.ones((n, count), dtype=np.float32),
        landmarks=np.zeros((n, count, 11), dtype=np.float32),
        voxel_mm=np.ones((n, 2)),
        biopsy_id=tuple(f"b{i}" for i in range(n)),
        participant_id=tuple(f"p{i // a_participant}" for i in range(n)),
        request=PatchRequest(SEQUENCES, radius, slices=slices, normalisation="zscore"),
    )


def reference(patches: PatchSet, radius: int = RADIUS) -> Reference:
    return fit_reference(patches, np.arange(len(patches)), radius, "zero")


def test_by_a_diagonal_covariance_it_is_the_root_of_the_mean_squared_z() -> None:
    gaussian = Gaussian(np.array([1.0, -2.0, 0.0]), np.array([2.0, 0.5, 1.0]), np.diag([1.0, 1.0, 4.0]))
    values = np.array([[1.0, -2.0, 0.0], [3.0, -2.0, 0.0], [3.0, -1.0, 6.0], [np.nan, -1.0, 6.0]])
    np.testing.assert_allclose(
        gaussian.distance(values), np.sqrt([0.0, 1 / 3, (1 + 4 + 9) / 3, (4 + 9) / 2]), rtol=1e-12
    )


def test_by_a_correlation_it_is_mahalanobis_of_what_is_there() -> None:
    rng = np.random.default_rng(0)
    mix = rng.normal(size=(4, 4))
    covariance = mix @ mix.T
    gaussian = Gaussian(rng.normal(size=4), np.exp(rng.normal(size=4)), covariance)
    values = rng.normal(size=(5, 4))
    values[1, 0] = values[2, [1, 3]] = values[3] = np.nan
    for row, said in zip(values, gaussian.distance(values), strict=True):
        there = ~np.isnan(row)
        unit = ((row - gaussian.mean) / gaussian.deviation)[there]
        if not there.any():
            assert np.isnan(said)
        else:
            squared = unit @ np.linalg.inv(covariance[np.ix_(there, there)]) @ unit
            assert said == pytest.approx(np.sqrt(squared / there.sum()), rel=1e-9)


def test_the_covariance_is_that_of_ledoit_and_wolf_on_standardised_numbers() -> None:
    values = (
        np.random.default_rng(1).normal(size=(50, 6)) @ np.random.default_rng(2).normal(size=(6, 6)) + 3.0
    )
    gaussian = fit_gaussian(values)
    np.testing.assert_allclose(gaussian.mean, values.mean(axis=0))
    np.testing.assert_allclose(gaussian.deviation, values.std(axis=0))
    unit = (values - values.mean(axis=0)) / values.std(axis=0)
    np.testing.assert_allclose(gaussian.covariance, LedoitWolf().fit(unit).covariance_)


def test_absent_numbers_do_not_shrink_what_the_others_vary_by() -> None:
    rng = np.random.default_rng(3)
    common = rng.normal(size=(4000, 1))
    values = 2.0 + common + rng.normal(size=(4000, 3))
    values[rng.random(4000) < 0.6, 1] = np.nan
    gaussian = fit_gaussian(values)
    np.testing.assert_allclose(gaussian.deviation, np.sqrt(2), rtol=0.05)
    np.testing.assert_allclose(np.diag(gaussian.covariance), 1.0, rtol=0.03)


def test_what_never_varies_is_not_looked_at() -> None:
    rng = np.random.default_rng(4)
    values = rng.normal(size=(40, 3))
    constant = np.concatenate([values, np.full((40, 1), 7.0), np.full((40, 1), np.nan)], axis=1)
    gaussian, plain = fit_gaussian(constant), fit_gaussian(values)
    new = rng.normal(size=(5, 5))
    np.testing.assert_allclose(gaussian.distance(new), plain.distance(new[:, :3]), rtol=1e-12)


def test_each_participant_is_held_against_the_others() -> None:
    rng = np.random.default_rng(5)
    values, whose = rng.normal(size=(30, 4)), [f"p{i % 7}" for i in range(30)]
    said = left_out(values, whose)
    for i in range(30):
        others = np.array([values[j] for j in range(30) if whose[j] != whose[i]])
        mean, deviation = others.mean(axis=0), others.std(axis=0)
        inverse = np.linalg.inv(LedoitWolf().fit((others - mean) / deviation).covariance_)
        unit = (values[i] - mean) / deviation
        assert said[i] == pytest.approx(np.sqrt(unit @ inverse @ unit / 4), rel=1e-9)
    assert np.isnan(left_out(values, ["one"] * 30)).all()


@pytest.mark.parametrize("n", [2, 3, 4])
def test_of_very_few_training_biopsies_there_are_distances_too(n: int) -> None:
    """Of two biopsies every number is as far from the mean: by the formula nothing shrinks."""
    values = np.random.default_rng(n).normal(size=(n, 6))
    assert LedoitWolf(assume_centered=True).fit([[1.0, -1.0], [-1.0, 1.0]]).shrinkage_ == 0
    said = left_out(values, [f"p{i}" for i in range(n)])
    assert (np.isnan(said) if n == 2 else np.isfinite(said)).all()  # one biopsy alone varies by nothing
    fitted = reference(patch_set(30, n=n, a_participant=1))
    assert np.isfinite(fitted.distance(patch_set(31, n=5))).all()


def test_the_least_shrinkage_is_one_part_in_n() -> None:
    two = np.array([[0.0, 4.0], [2.0, 2.0]])  # in units of deviation (-1, 1) and (1, -1)
    np.testing.assert_allclose(fit_gaussian(two).covariance, [[1.0, -0.5], [-0.5, 1.0]])


@pytest.mark.parametrize("slices", [1, 3])
def test_a_patch_is_described_by_mean_and_deviation_of_each_sequence(slices: int) -> None:
    present = np.ones((20, 3), dtype=bool)
    present[4, 1] = present[5] = False
    patches = patch_set(6, n=20, radius=4, present=present, slices=slices)
    described = describe(reference(patches).view, patches)
    for i in range(20):
        for c in range(3):
            voxels = patches.raw[i, 2:7, 2:7, c::3].astype(np.float64)
            expected = [voxels.mean(), voxels.std()] if present[i, c] else [np.nan, np.nan]
            np.testing.assert_allclose(described[i, [c, 3 + c]], expected, rtol=1e-6, atol=1e-7)


def test_of_new_participants_one_in_a_hundred_is_unlike() -> None:
    fitted, fresh = reference(patch_set(7, n=1600, a_participant=16)), patch_set(8, n=4000)
    distance = fitted.distance(fresh)
    unlike = int(fitted.unlike(distance).sum())
    # The cut is a quantile of 1600 draws, and so are these 4000: both vary.
    low, high = binom.ppf([0.0005, 0.9995], 1600, 0.01) / 1600
    assert binom.ppf(0.0005, 4000, low) <= unlike <= binom.ppf(0.9995, 4000, high)
    assert np.sqrt(np.mean(distance**2)) == pytest.approx(1.0, abs=0.05)


def test_of_few_training_biopsies_at_most_one_in_a_hundred_is_beyond_the_cut() -> None:
    patches = patch_set(9, n=150)
    fitted = reference(patches)
    apart = left_out(describe(fitted.view, patches), patches.participant_id)
    assert (apart > fitted.cut).sum() == 1


def test_another_scanner_is_unlike() -> None:
    fitted = reference(patch_set(10))
    assert fitted.unlike(fitted.distance(patch_set(11, n=50, shift=6.0))).all()
    assert fitted.unlike(fitted.distance(patch_set(11, n=50))).mean() < 0.2


def test_an_absent_sequence_is_no_reason_to_be_unlike_and_no_sequence_is() -> None:
    rng = np.random.default_rng(12)
    present = rng.random((400, 3)) < 0.7
    fitted = reference(patch_set(13, n=400, present=present))
    shown = np.array([[True, True, True], [True, False, True], [False, True, False], [False] * 3])
    fresh = patch_set(14, n=2000, present=np.repeat(shown, 500, axis=0))
    distance = fitted.distance(fresh)
    unlike = fitted.unlike(distance).reshape(4, 500).mean(axis=1)
    assert (unlike[:3] < 0.06).all()
    assert np.isnan(distance[1500:]).all()
    assert unlike[3] == 1.0


def test_a_sequence_that_nobody_had_in_training_says_nothing() -> None:
    present = np.ones((60, 3), dtype=bool)
    present[:, 1] = False
    fitted = reference(patch_set(15, n=60, present=present))
    fresh = patch_set(16, n=10)
    strange = patch_set(16, n=10).raw.copy()
    strange[..., 1] += 100.0
    other = PatchSet(
        **(fresh.arrays() | {"raw": strange}),
        biopsy_id=fresh.biopsy_id,
        participant_id=fresh.participant_id,
        request=fresh.request,
    )
    np.testing.assert_array_equal(fitted.distance(other), fitted.distance(fresh))


def test_a_place_is_as_far_whatever_else_is_asked_with_it() -> None:
    fitted, fresh = reference(patch_set(17)), patch_set(18, n=300)
    whole = fitted.distance(fresh)
    parts = [
        fitted.distance(fresh.take(np.arange(start, min(start + 37, 300)))) for start in range(0, 300, 37)
    ]
    np.testing.assert_allclose(np.concatenate(parts), whole, rtol=1e-12)


def test_what_was_written_is_read_bit_by_bit_and_written_alike(tmp_path: Path) -> None:
    fitted, fresh = reference(patch_set(19)), patch_set(20, n=30)
    for name in ("one", "two"):
        write_reference(fitted, tmp_path / name)
    again = read_reference(tmp_path / "one")
    assert again.cut == fitted.cut
    np.testing.assert_array_equal(again.distance(fresh), fitted.distance(fresh))
    for name in (REFERENCE, REFERENCE_INPUT):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def rewritten(path: Path, **changes: object) -> None:
    """Put other arrays into a file of arrays."""
    with np.load(path) as kept:
        assert isinstance(kept, NpzFile)
        arrays = {name: kept[name] for name in kept.files} | changes
    buffer = io.BytesIO()
    np.savez(buffer, **{name: array for name, array in arrays.items() if array is not None})
    path.write_bytes(buffer.getvalue())


@pytest.mark.parametrize(
    "changes",
    [
        {"mean": np.zeros(5)},
        {"covariance": np.full((6, 6), np.nan)},
        {"cut": np.array([1.0])},
        {"deviation": np.zeros(6, dtype=np.float32)},
        {"mean": np.array([{}] * 6, dtype=object)},
        {"cut": None},
        {"covariance": np.ones((6, 6))},
        {"covariance": -np.eye(6)},
        {"covariance": np.eye(6) + np.eye(6, k=1)},
    ],
    ids=["shape", "nan", "list", "single", "objects", "absent", "singular", "negative", "asymmetric"],
)
def test_a_file_that_says_what_cannot_be_is_one_line(tmp_path: Path, changes: dict[str, object]) -> None:
    write_reference(reference(patch_set(21)), tmp_path)
    rewritten(tmp_path / REFERENCE, **changes)
    with pytest.raises(InputError, match=r"reference\.npz: the reference must be readable") as caught:
        read_reference(tmp_path)
    assert len(caught.value.problems) == 1


def test_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    write_reference(reference(patch_set(22)), tmp_path)
    (tmp_path / REFERENCE).write_bytes((tmp_path / REFERENCE).read_bytes()[:200])
    with pytest.raises(InputError, match="absent or damaged"):
        read_reference(tmp_path)
