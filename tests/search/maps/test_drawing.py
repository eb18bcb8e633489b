"""Asking a model about every voxel of a region."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.special import expit, logit

from data_prep.cohort import read_cohort
from data_prep.features.table import FeatureTable
from data_prep.patch_set import PatchRequest
from data_prep.regions import Region
from data_prep.windows import Windows, open_windows
from search.deployment.records import Prediction, Shown
from search.maps import drawing
from search.maps.drawing import batch_size, draw


@dataclass
class Mean:
    """A model that says how bright a patch is, and keeps how many places it was shown at once."""

    labels: tuple[str, ...] = ("A", "B")
    reads_location: bool = False
    threshold: float = 0.5
    fold: int | None = None
    silent: Callable[[Shown], np.ndarray] | None = None
    shown: list[int] = field(default_factory=list)
    located: list[FeatureTable | None] = field(default_factory=list)

    @property
    def facts(self) -> SimpleNamespace:
        ensembles = [SimpleNamespace(thresholds=np.full(2, self.threshold + add)) for add in (0.0, 0.1)]
        return SimpleNamespace(ensemble=ensembles[0], fold_ensembles=(ensembles[1],))

    @property
    def entries(self) -> tuple[SimpleNamespace, ...]:
        return (SimpleNamespace(fold=self.fold),)

    def say(self, shown: Shown) -> Prediction:
        self.shown.append(len(shown))
        self.located.append(shown.location)
        bright = shown.patches.images(shown.patches.radius).astype(np.float64).mean(axis=(1, 2))
        probability = expit(bright[:, :2])
        if self.silent is not None:
            probability[self.silent(shown)] = np.nan
        unlike = bright[:, 0] > 0.3
        return Prediction(
            probability,
            0.1 * probability,
            probability > 0.5,
            bright[:, 0],
            unlike,
            np.hstack([bright[:, :2]]),
        )


@pytest.fixture
def windows(cohort_folder: Path) -> Windows:
    return open_windows(read_cohort(cohort_folder), "sub-000", PatchRequest(("T1", "T2"), 2))[0]


@pytest.fixture
def region(windows: Windows) -> Region:
    inside = np.zeros(windows.grid.canonical_shape, bool)
    inside[2:10, 3:11, 1:9] = True
    inside[2:4, 3:5] = False
    return Region("box", inside, "")


def everywhere(windows: Windows, region: Region) -> Prediction:
    """What the model says of all voxels, in one go."""
    return Mean().say(Shown(windows.patches(np.argwhere(region.inside))))


def test_a_map_holds_what_the_model_says_of_each_voxel(windows: Windows, region: Region) -> None:
    drawn, said = draw(Mean(), windows, region), everywhere(windows, region)
    inside = region.inside
    np.testing.assert_array_equal(drawn.probability[inside], said.probability.astype(np.float32))
    np.testing.assert_array_equal(drawn.spread[inside], said.spread.astype(np.float32))
    np.testing.assert_array_equal(drawn.unlike[inside], said.unlike)
    np.testing.assert_array_equal(drawn.above[inside], said.probability > 0.5)
    assert drawn.value is not None
    np.testing.assert_array_equal(drawn.value[inside], said.value.astype(np.float32))
    assert np.isnan(drawn.probability[~inside]).all()
    assert not drawn.above[~inside].any()
    assert not drawn.unlike[~inside].any()
    assert drawn.asked == inside.sum()
    assert drawn.labels == ("A", "B")


def test_a_map_is_the_same_in_small_batches_and_told_of(
    windows: Windows, region: Region, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = draw(Mean(), windows, region)
    monkeypatch.setattr(drawing, "BATCH_BYTES", 1)
    model, told = Mean(), []
    parts = draw(model, windows, region, progress=lambda done, total: told.append((done, total)))
    np.testing.assert_array_equal(whole.probability, parts.probability)
    assert max(model.shown) == 16
    assert told[-1] == (whole.asked, whole.asked)
    assert [done for done, _ in told] == np.cumsum(model.shown).tolist()


def test_batches_stay_below_the_bytes_that_are_allowed() -> None:
    for radius, slices in ((2, 1), (8, 1), (16, 5)):
        request = PatchRequest(("T1", "T2"), radius, slices)
        size = batch_size(request)
        assert 16 <= size <= 4096
        assert size * (2 * radius + 1) ** 2 * slices * 2 * 4 <= drawing.BATCH_BYTES


def test_a_stride_keeps_what_was_asked_and_interpolates_the_logit(windows: Windows, region: Region) -> None:
    full, coarse = draw(Mean(), windows, region), draw(Mean(), windows, region, stride=2)
    assert coarse.asked < full.asked / 3
    nodes = np.zeros_like(region.inside)
    nodes[np.ix_([2, 4, 6, 8, 9], [3, 5, 7, 9, 10], [1, 3, 5, 7, 8])] = True
    nodes &= region.inside
    assert coarse.asked == nodes.sum()
    np.testing.assert_array_equal(coarse.probability[nodes], full.probability[nodes])
    ends = full.probability[[6, 8], 5, 3].astype(float)
    assert coarse.probability[7, 5, 3] == pytest.approx(expit(logit(ends).mean(axis=0)), abs=1e-6)
    assert coarse.spread[7, 5, 3] == pytest.approx(full.spread[[6, 8], 5, 3].mean(axis=0), abs=1e-6)
    assert np.isfinite(coarse.probability[region.inside]).all()
    assert np.isnan(coarse.probability[~region.inside]).all()
    np.testing.assert_array_equal(coarse.above[region.inside], coarse.probability[region.inside] > 0.5)


def test_unlike_comes_from_a_neighbour_that_was_asked(windows: Windows, region: Region) -> None:
    full, coarse = draw(Mean(), windows, region), draw(Mean(), windows, region, stride=3)
    axes = ([2, 5, 8, 9], [3, 6, 9, 10], [1, 4, 7, 8])
    nodes = np.argwhere(region.inside & np.isin(np.indices(region.inside.shape), axes[0]).any(axis=0))
    nodes = np.array([n for n in nodes if all(n[a] in axes[a] for a in range(3))])
    for voxel in np.argwhere(region.inside):
        apart = np.linalg.norm(nodes - voxel, axis=1)
        near = nodes[np.isclose(apart, apart.min())]
        assert coarse.unlike[tuple(voxel)] in full.unlike[tuple(near.T)]


def test_where_the_model_says_nothing_there_is_no_probability(windows: Windows, region: Region) -> None:
    model = Mean(silent=lambda shown: np.array(["@5-" in name for name in shown.patches.biopsy_id]))
    drawn = draw(model, windows, region)
    assert np.isnan(drawn.probability[5]).all()
    assert not drawn.above[5].any()
    assert np.isfinite(drawn.probability[6][region.inside[6]]).all()


def test_locations_are_shown_where_a_member_reads_them(windows: Windows, region: Region) -> None:
    blind, knowing = Mean(), Mean(reads_location=True)
    draw(blind, windows, region)
    draw(knowing, windows, region)
    assert blind.located == [None] * len(blind.located)
    expected = windows.location(np.argwhere(region.inside)).values
    np.testing.assert_array_equal(np.concatenate([table.values for table in knowing.located]), expected)


def test_the_members_of_a_fold_have_its_thresholds(windows: Windows, region: Region) -> None:
    assert draw(Mean(), windows, region).thresholds == (0.5, 0.5)
    assert draw(Mean(fold=0), windows, region).thresholds == pytest.approx((0.6, 0.6))


def test_the_time_is_forecast_once_where_there_is_more_to_do(
    windows: Windows, region: Region, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[float] = []
    draw(Mean(), windows, region, forecast=told.append)
    assert told == []
    monkeypatch.setattr(drawing, "BATCH_BYTES", 1)
    clock = iter(np.arange(0.0, 1e5, 3.0))  # a look at the clock every 3 seconds
    monkeypatch.setattr(drawing.time, "monotonic", lambda: float(next(clock)))
    draw(Mean(), windows, region, forecast=told.append)
    left = region.inside.sum() - 32
    assert told == [pytest.approx(3.0 * left / 16)]
