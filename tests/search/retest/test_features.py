"""Agreement of features: which are looked at, and that their ICC is that of the feature on both scans."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from data_prep.cohort import read_cohort
from data_prep.features.simple import roi_means
from data_prep.patches import extract_patches
from data_prep.repeats import second_scans
from search.home import Home
from search.recorded import material_of, recorded_study
from search.records import TrialConfig
from search.retest.features import FeatureSet, feature_agreement, sets_read
from search.retest.plan import Plan, plan_of
from search.scenes import Scenes
from search.statistics.agreement import icc


def test_what_is_compared_is_what_is_read_and_of_a_network_the_ladder() -> None:
    settings = [
        {"architecture": "roi_means", "patch_radius": 3},
        {"architecture": "texture_svm", "patch_radius": 5},
        {"architecture": "texture_forest", "patch_radius": 5},
        {"architecture": "location"},
        {"architecture": "constant"},
        {"architecture": "missingness"},
    ]
    found = sets_read([TrialConfig(one, 0) for one in settings])
    assert found == (FeatureSet("roi_means", 3, False), FeatureSet("texture", 5, False))
    network = sets_read([TrialConfig({"architecture": "small_cnn", "patch_radius": 4}, 0)])
    assert network == (FeatureSet("roi_means", 4, True), FeatureSet("texture", 4, True))
    both = [{"architecture": name, "patch_radius": 4} for name in ("small_cnn", "texture_svm", "small_cnn")]
    found = sets_read([TrialConfig(one, 0) for one in both])
    assert found == (FeatureSet("roi_means", 4, True), FeatureSet("texture", 4, False))


@pytest.fixture
def planned(home: Home) -> Callable[[Path], Plan]:
    def plan(cohort: Path) -> Plan:
        recorded, study = recorded_study(home, None, "again", str(cohort))
        material = material_of(study, recorded, home)
        return plan_of(recorded, study, material, Scenes(material, 3, home.cache), trial=0)

    return plan


def test_an_icc_is_that_of_the_feature_on_both_scans(
    planned: Callable[[Path], Plan], twice: Path, home: Home
) -> None:
    plan = planned(twice / "cohort")
    found = feature_agreement(plan, home.cache)
    cohort = read_cohort(twice / "cohort")
    again = second_scans(cohort)
    assert again is not None
    request = plan.material.patches.request
    first, second = (roi_means(extract_patches(one, request), 2) for one in (cohort, again))
    rows = [b.biopsy_id for b in cohort.biopsies if b.biopsy_id in {a.biopsy_id for a in again.biopsies}]
    places = [[b.biopsy_id for b in cohort.biopsies].index(name) for name in rows]
    assert {one.feature for one in found} == set(first.names)
    for one in found:
        column = first.names.index(one.feature)
        pairs = np.stack([first.values[places, column], second.values[:, column]], axis=1)
        assert one.icc.value == pytest.approx(icc(pairs, "A").value)
        assert one.sites == len(pairs)
    values = [one.icc.value or 0.0 for one in found]
    assert values == sorted(values, reverse=True)


def test_second_scans_that_are_copies_agree_wholly_and_a_sequence_that_is_not_there_counts_nowhere(
    planned: Callable[[Path], Plan], twice: Path, tmp_path: Path, home: Home
) -> None:
    folder = shutil.copytree(twice / "cohort", tmp_path / "cohort")
    for path in folder.glob("*/again/*.nii.gz"):
        shutil.copy(path.parents[1] / path.name, path)
    (folder / "sub-003" / "again" / "T2.nii.gz").unlink()
    found = {one.feature: one for one in feature_agreement(planned(folder), home.cache)}
    assert found["T1:mean"].sites - found["T2:mean"].sites == 3
    assert [one.icc.value for one in found.values()] == [1.0, 1.0]
