"""What the fits said is put together by site, and nothing but what every configuration said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from data_prep.folds import Split
from search.records import FoldResult, TrialConfig
from search.refits.fit import Fit
from search.retest.paired import biopsies_of, maps_of, remarks_of
from search.scenes import SECOND, map_scenes

PEOPLE = ("p0", "p0", "p1", "p1", "p2", "p3")
SPLITS = (
    Split(0, 0, 0, np.array([2, 3, 4, 5]), np.array([0, 1])),
    Split(1, 0, 1, np.array([0, 1, 5]), np.array([2, 3, 4])),
)
# Scanned again: both of p0, one of p1. The lattice has three sites of p0.
AGAIN = {SECOND: ("b0", "b1", "b3")} | dict.fromkeys(map_scenes(4.0), ("s0", "s1", "s2"))
OWNERS = {"b0": "p0", "b1": "p0", "b3": "p1", "s0": "p0", "s1": "p0", "s2": "p0"}


class FakeScenes:
    def whole(self, name: str) -> Any:
        ids = AGAIN[name]
        patches = SimpleNamespace(biopsy_id=ids, participant_id=tuple(OWNERS[one] for one in ids))
        return SimpleNamespace(patches=patches)

    def rows(self, name: str, fit: Fit) -> np.ndarray:
        out = {PEOPLE[row] for row in fit.test}
        return np.array([row for row, one in enumerate(AGAIN[name]) if OWNERS[one] in out])


@pytest.fixture
def plan() -> Any:
    configs = tuple(TrialConfig({"architecture": "roi_means", "place": k}, k) for k in range(2))
    names = (SECOND, *map_scenes(4.0))
    patches = SimpleNamespace(biopsy_id=tuple(f"b{k}" for k in range(6)), participant_id=PEOPLE)
    return SimpleNamespace(
        trials=(3, 8),
        configs=configs,
        booked=({}, {}),
        splits=SPLITS,
        names=names,
        maps=names[1:],
        scenes=FakeScenes(),
        material=SimpleNamespace(patches=patches),
        fit=lambda config, split: replace(Fit.of(config, split), scenes=names),
    )


@pytest.fixture
def ledger(plan: Any, make_fold: Callable[..., FoldResult]) -> Any:
    """First scans get .1 x row, second ones .05 more for the first trial; the other says .01 more of all."""
    results: dict[str, FoldResult] = {}
    for k, config in enumerate(plan.configs):
        for split in SPLITS:
            fit = plan.fit(config, split)
            test = [int(row) for row in split.test]
            seen = {name: plan.scenes.rows(name, fit) for name in plan.names}
            first = [0.1 * row + 0.01 * k for row in test]
            by_id = {f"b{row}": p + 0.05 for row, p in zip(test, first, strict=True)}
            told = {SECOND: [by_id[AGAIN[SECOND][row]] for row in seen[SECOND]]}
            for place, name in enumerate(plan.maps):
                told[name] = [0.2 + 0.1 * row + 0.03 * place for row in seen[name].tolist()]
            scenes = {n: {"probabilities": p} for n, p in told.items() if p}
            results[fit.key] = make_fold(
                rows=tuple(test),
                participants=tuple(int(PEOPLE[row][1]) for row in test),
                labels=tuple(row % 2 for row in test),
                probabilities=tuple(first),
                threshold=0.3 + 0.1 * split.index,
                scenes=scenes,
            )
    return SimpleNamespace(results=results, result=lambda fit: results.get(fit.key), failure=lambda fit: None)


def test_biopsies_scanned_twice_are_paired_by_id(plan: Any, ledger: Any) -> None:
    found = biopsies_of(plan, ledger)
    assert (found.site, found.participant, found.fold) == (("b0", "b1", "b3"), ("p0", "p0", "p1"), (0, 0, 1))
    np.testing.assert_allclose(found.first, [[0.0, 0.1, 0.3], [0.01, 0.11, 0.31]])
    np.testing.assert_allclose(found.second - found.first, 0.05)
    np.testing.assert_allclose(found.threshold, [[0.3, 0.3, 0.4]] * 2)
    np.testing.assert_allclose(found.probabilities[0], [0.005, 0.105, 0.305])
    np.testing.assert_allclose(found.margins[1], [0.055 - 0.3, 0.155 - 0.3, 0.355 - 0.4])


def test_the_lattice_is_paired_scan_by_scan(plan: Any, ledger: Any) -> None:
    found = maps_of(plan, ledger)
    assert found is not None
    assert (found.site, set(found.participant)) == (("s0", "s1", "s2"), {"p0"})
    np.testing.assert_allclose(found.first, [[0.2, 0.3, 0.4]] * 2)
    np.testing.assert_allclose(found.second, found.first + 0.03)
    plan.maps = None
    assert maps_of(plan, ledger) is None


def test_a_fold_that_a_configuration_could_not_fit_is_left_out_and_told(plan: Any, ledger: Any) -> None:
    lost = plan.fit(plan.configs[1], SPLITS[0])
    del ledger.results[lost.key]
    ledger.failure = lambda fit: "its loss became NaN" if fit.key == lost.key else None
    assert biopsies_of(plan, ledger).site == ("b3",)
    found = maps_of(plan, ledger)
    assert found is not None
    assert (len(found), found.first.shape) == (0, (2, 0))
    assert remarks_of(plan, ledger) == ["trial 8: a model could not be fitted: its loss became NaN"]


def test_a_fold_that_comes_out_otherwise_than_in_the_search_is_told(plan: Any, ledger: Any) -> None:
    same = {split.index: ledger.result(plan.fit(plan.configs[0], split)) for split in SPLITS}
    plan.booked = (same, {})
    assert remarks_of(plan, ledger) == []
    other = replace(same[1], probabilities=(0.5, 0.5, 0.5), device="GPU")
    plan.booked = (same | {1: other}, {})
    (line,) = remarks_of(plan, ledger)
    assert line.startswith(
        "trial 3: fold 1 did not come out to the last bit as in the search, which ran it on GPU"
    )
