from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from scipy.special import expit
from scipy.stats import pearsonr

from data_prep.arrays import BoolArray, FloatArray
from data_prep.cohort import Cohort, read_cohort
from data_prep.features.simple import roi_means
from data_prep.geometry import Grid
from data_prep.patch_set import PatchRequest
from data_prep.patches import extract_patches
from data_prep.phantom import PhantomSpec, write_phantom
from data_prep.phantom.map_bound import Reach
from data_prep.phantom.map_truth import Truth, truth_of
from data_prep.problems import InputError
from data_prep.volumes import open_volume, read_volume
from models.shallow import fit_baseline
from models.spec import BaselineSpec
from search.maps.score import (
    MapScore,
    MapsScore,
    fisher_mean,
    pearson,
    reach_of,
    score_labels,
    score_map,
    scores_table,
    summarise,
)

REQUEST = PatchRequest(("FA", "MD", "EPI-C", "FLAIR", "rCBV"), radius=5)
FOLDS, STEP, CUT = 4, 4, 1.03
SPEC = PhantomSpec(participants=12, biopsies=84, size=40, signal="easy")


@dataclass(frozen=True)
class Map:
    labels: tuple[str, ...]
    grid: Grid
    region: BoolArray
    probability: FloatArray


@dataclass(frozen=True)
class Place:
    """Every fourth voxel of a participant's tumour, as a grid of its own."""

    grid: Grid
    inside: BoolArray


def written(spec: PhantomSpec, folder: Path) -> tuple[Cohort, Truth]:
    write_phantom(folder, spec)
    return read_cohort(folder), truth_of(folder / "truth")


def place_of(cohort: Cohort, participant: str) -> Place:
    biopsy = next(one for one in cohort.biopsies if one.participant_id == participant)
    volume = open_volume(cohort.masks(biopsy)["tumor"])
    inside = read_volume(volume)[::STEP, ::STEP, ::STEP] > 0
    return Place(Grid(inside.shape, volume.grid.canonical_affine @ np.diag([STEP, STEP, STEP, 1.0])), inside)


def out_of_fold(cohort: Cohort, places: Mapping[str, Place]) -> dict[str, Map]:
    """Maps of a logistic regression on patch means that never saw the participant, without any command."""
    features = partial(roi_means, radius=REQUEST.radius)
    label = np.array([cohort.expression.tpm(one.biopsy_id, "CD3D") > CUT for one in cohort.biopsies], int)
    person = np.array([cohort.participants.index(one.participant_id) for one in cohort.biopsies])
    x, maps = features(extract_patches(cohort, REQUEST)).values, {}
    for fold in range(FOLDS):
        seen, spec = person % FOLDS != fold, BaselineSpec("logistic", regularisation=10.0)
        model = fit_baseline(spec, x[seen], label[seen], person[seen], 0)
        for name in cohort.participants[fold::FOLDS]:
            place, template = places[name], next(b for b in cohort.biopsies if b.participant_id == name)
            voxels = np.argwhere(place.inside)
            world = voxels @ place.grid.affine[:3, :3].T + place.grid.affine[:3, 3]
            sites = [replace(template, biopsy_id=str(i), position=tuple(at)) for i, at in enumerate(world)]
            windows = extract_patches(replace(cohort, biopsies=tuple(sites)), REQUEST)
            probability = np.full((*place.inside.shape, 1), np.nan, np.float32)
            probability[(*voxels.T, 0)] = model.predict(features(windows).values)
            maps[name] = Map(("CD3D",), place.grid, place.inside, probability)
    return maps


def scored(spec: PhantomSpec, folder: Path) -> MapsScore:
    cohort, truth = written(spec, folder)
    truth.check(cohort)
    places = {name: place_of(cohort, name) for name in cohort.participants}
    drawn = out_of_fold(cohort, places)
    return summarise([score_map(truth, name, one, 0, REQUEST) for name, one in drawn.items()])


def test_out_of_fold_maps_follow_what_was_planted_as_far_as_any_map_can(tmp_path: Path) -> None:
    found = scored(SPEC, tmp_path / "phantom")
    assert found.mean > 4 * found.se
    assert 0 < found.ratio <= 1 + 2 * found.ratio_se
    assert found.bound == pytest.approx(0.85, abs=0.03)  # .87 at radius 8 with nothing missing
    assert found.significant > 3
    assert found.is_nothing is False


def test_maps_of_a_phantom_without_signal_follow_nothing(tmp_path: Path) -> None:
    found = scored(replace(SPEC, signal="none"), tmp_path / "phantom")
    assert abs(found.mean) <= 2 * found.se
    assert found.is_nothing is True
    assert (found.bound, found.ratio) == (None, None)
    assert found.significant <= 3  # of 12 at 5 %: more have a chance of .2 %


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Cohort, Truth]:
    spec = PhantomSpec(participants=4, biopsies=8, size=24)
    return written(spec, tmp_path_factory.mktemp("scores") / "phantom")


def tumour(tiny: tuple[Cohort, Truth], name: str = "sub-001") -> tuple[Grid, BoolArray, FloatArray]:
    """Grid, region and truth of a participant."""
    cohort, truth = tiny
    biopsy = next(one for one in cohort.biopsies if one.participant_id == name)
    volume = open_volume(cohort.masks(biopsy)["tumor"])
    return volume.grid, read_volume(volume) > 0, truth.field(name, volume.grid)


def map_of(grid: Grid, region: BoolArray, probability: FloatArray) -> Map:
    inside = np.where(region, probability, np.nan).astype(np.float32)
    return Map(("CD3E", "CD3D"), grid, region, np.stack([1 - inside, inside], axis=-1))


def test_a_map_that_says_all_correlates_by_1_by_its_logit_and_by_less_itself(
    tiny: tuple[Cohort, Truth],
) -> None:
    grid, region, z = tumour(tiny)
    found = score_map(tiny[1], "sub-001", map_of(grid, region, expit(6 * z - 1)), 1, REQUEST)
    assert found.correlation == pytest.approx(1, abs=1e-4)
    assert 0.5 < found.of_probability < 0.98
    assert found.p_value == 1 / (1 + found.surrogates)
    assert (found.participant, found.label, found.voxels) == ("sub-001", "CD3D", region.sum())
    assert found.n_eff == pytest.approx(region.sum() / (np.pi**1.5 * 216))
    other = score_map(tiny[1], "sub-001", map_of(grid, region, expit(6 * z - 1)), 0)
    assert other.correlation == pytest.approx(-1, abs=1e-4)
    assert (other.label, other.bound) == ("CD3E", None)


def test_only_voxels_of_the_region_that_are_known_count(tiny: tuple[Cohort, Truth]) -> None:
    grid, region, z = tumour(tiny)
    noise = np.random.default_rng(0).random(z.shape)
    drawn = map_of(grid, region, noise)
    drawn.probability[tuple(np.argwhere(region)[0])] = np.nan
    drawn.probability[0, 0, 0] = 0.9  # beyond the region
    known = region & np.isfinite(drawn.probability[..., 1])
    kept = drawn.probability[..., 1][known].astype(float)
    found = score_map(tiny[1], "sub-001", drawn, 1)
    assert found.voxels == region.sum() - 1
    assert found.correlation == pytest.approx(pearsonr(np.log(kept / (1 - kept)), z[known])[0], abs=1e-6)
    assert found.of_probability == pytest.approx(pearsonr(kept, z[known])[0], abs=1e-6)


def test_the_same_map_has_the_same_score_and_files_of_any_order_too(tiny: tuple[Cohort, Truth]) -> None:
    grid, region, z = tumour(tiny)
    drawn = map_of(grid, region, np.random.default_rng(0).random(z.shape))
    flipped = np.diag([-1.0, 1, 1, 1])
    flipped[0, 3] = grid.shape[0] - 1
    stored = Grid(grid.shape, grid.affine @ flipped)
    assert score_map(tiny[1], "sub-001", drawn) == score_map(tiny[1], "sub-001", replace(drawn, grid=stored))


def test_a_map_that_is_the_same_everywhere_says_nothing(tiny: tuple[Cohort, Truth]) -> None:
    grid, region, z = tumour(tiny)
    for value in (0.0, 0.3, 1.0):
        found = score_map(tiny[1], "sub-001", map_of(grid, region, np.full(z.shape, value)), 1)
        assert (found.correlation, found.p_value, found.length_mm, found.own_n_eff) == (0, 1, None, None)


def test_sure_probabilities_stay_finite(tiny: tuple[Cohort, Truth]) -> None:
    grid, region, z = tumour(tiny)
    found = score_map(tiny[1], "sub-001", map_of(grid, region, (z > 0).astype(float)), 1)
    assert 0.5 < found.correlation < 0.95


def test_a_region_that_the_truth_does_not_know_is_refused(tiny: tuple[Cohort, Truth]) -> None:
    grid, region, z = tumour(tiny)
    drawn = map_of(grid, np.zeros_like(region), z)
    with pytest.raises(InputError, match=r"must share 3 voxels or more with the truth, but .* shares 0"):
        score_map(tiny[1], "sub-001", drawn)


def score(correlation: float, bound: float | None = 0.8, p_value: float = 0.02) -> MapScore:
    return MapScore("sub-001", "CD3D", correlation, 0.1, p_value, 499, 7.5, 9.0, 2.2, 9000, bound)


def test_means_are_fishers() -> None:
    rng, rho, size = np.random.default_rng(0), 0.6, 40
    values = [
        np.corrcoef(rng.multivariate_normal([0, 0], [[1, rho], [rho, 1]], size).T)[0, 1] for _ in range(300)
    ]
    mean, se = fisher_mean(values)
    assert mean == pytest.approx(rho, abs=3 * se)
    assert se == pytest.approx((1 - rho**2) / np.sqrt((size - 3) * 300), rel=0.15)
    assert fisher_mean([1.0, -1.0])[0] == 0
    assert fisher_mean([0.4]) == (0.4, None)


def test_correlations_are_those_of_scipy_and_0_where_nothing_varies() -> None:
    x, y = np.random.default_rng(0).random((2, 50))
    assert pearson(x, y) == pytest.approx(pearsonr(x, y)[0])
    assert pearson(np.ones(5), x[:5]) == 0


def test_the_ratio_is_of_the_mean_to_the_bound() -> None:
    found = summarise([score(0.3, 0.7), score(0.5, 0.9, 0.2)])
    bound = np.tanh(np.mean(np.arctanh([0.7, 0.9])))
    assert found.bound == pytest.approx(bound)
    assert found.ratio == pytest.approx(np.tanh(np.mean(np.arctanh([0.3, 0.5]))) / bound)
    assert found.ratio_se == pytest.approx(found.se / bound)
    assert found.significant == 1
    assert summarise([score(0.3), score(0.5, None)]).ratio is None
    alone = summarise([score(0.3)])
    assert (alone.se, alone.ratio_se, alone.is_nothing) == (None, None, None)


def test_the_record_is_json() -> None:
    for scores in ([score(0.3), score(0.5)], [score(0.1, None)]):
        text = json.dumps(summarise(scores).as_json(), allow_nan=False)
        read = json.loads(text)
        assert read["participants"] == len(scores)
        assert [one["correlation"] for one in read["scores"]] == [one.correlation for one in scores]


def printed(found: MapsScore) -> str:
    console = Console(width=100)
    with console.capture() as capture:
        console.print(scores_table(found))
    return capture.get()


def test_the_table_says_what_the_record_has() -> None:
    text = printed(summarise([score(0.3), score(0.5, 0.8, 0.2)]))
    for told in ("0.300", "0.500", "0.020", "9,000", "0.405 +- 0.2", "in 1 of 2", "allow: 0.51 +- 0.2"):
        assert told in text, told
    null = printed(summarise([score(0.3, None), score(-0.28, None)]))
    assert "The mean is within two standard" in null
    assert "not within" in printed(summarise([score(0.3, None), score(0.31, None)]))
    assert "+-" not in printed(summarise([score(0.3)]))


@pytest.mark.parametrize(
    ("options", "reach"),
    [
        ({}, Reach(10.0, 0.0)),
        ({"slices": 3}, Reach(10.0, 3.0)),
        ({"slices": 3, "slice_mm": 5.0}, Reach(10.0, 5.0)),
        ({"slices": 5, "spacing_mm": 0.5}, Reach(2.5, 1.0)),
    ],
    ids=str,
)
def test_the_reach_of_a_patch_is_in_mm(options: dict[str, float], reach: Reach) -> None:
    grid = Grid((9, 9, 9), np.diag([1.0, 2.0, 3.0, 1.0]))
    assert reach_of(replace(REQUEST, **options), grid) == reach


def test_labels_that_follow_the_field_are_scored_and_no_other(tiny: tuple[Cohort, Truth]) -> None:
    grid, region, z = tumour(tiny)
    drawn = map_of(grid, region, expit(6 * z - 1))
    found = score_labels(tiny[1], "sub-001", replace(drawn, labels=("GFAP", "CD8A")), REQUEST)
    assert [one.label for one in found] == ["CD8A"]
    assert found[0].correlation == pytest.approx(1, abs=1e-4)
    both = score_labels(tiny[1], "sub-001", replace(drawn, labels=("CD3E+GFAP", "CD3D")), REQUEST)
    assert [one.label for one in both] == ["CD3E+GFAP", "CD3D"]
