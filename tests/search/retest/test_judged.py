"""Agreement of what several configurations say together, of each alone, and of each participant's map."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from search.retest.judged import each_trial, judge, own_maps
from search.statistics.agreement import Drawn, icc
from search.statistics.differences import bland_altman
from tests.search.retest.by_hand import paired


def test_configurations_answer_by_their_mean_and_their_mean_margin() -> None:
    sites = paired()
    found = judge(sites, independent=True)
    first, second = sites.first.mean(axis=0), sites.second.mean(axis=0)
    drawn = Drawn(sites.participant)
    for form in ("1", "A", "C"):
        assert found.icc[form] == icc(
            np.stack([first, second], axis=1), form, drawn, strata=np.array(sites.fold)
        )
    assert found.differences == bland_altman(first, second, drawn)
    assert found.flips is not None
    assert found.flips.flips == int(((first > 0.5) != (second > 0.5)).sum()) > 0
    assert (found.sites, found.participants, found.reason) == (40, 10, None)
    # Thresholds of their own: what one is above by weighs against what the other is below by.
    shifted = replace(sites, threshold=np.array([[0.1], [0.9]]) + np.zeros((2, 40)))
    assert judge(shifted, independent=True).flips == found.flips


def test_a_constant_that_differs_from_fold_to_fold_agrees_with_nothing() -> None:
    constant = np.stack([np.array([0.3, 0.5, 0.7])[list(paired().fold)]] * 2)
    found = judge(replace(paired(), first=constant, second=constant), independent=True)
    assert found.icc["A"].value is None
    assert found.reason == "no fold's model tells its sites apart"


def test_sites_of_a_map_have_no_textbook_interval() -> None:
    found = judge(paired(), independent=False)
    assert found.differences is not None
    assert found.flips is not None
    measures = [
        *found.icc.values(),
        found.differences.bias,
        found.differences.repeatability,
        found.flips.share,
    ]
    assert all(one.textbook is None and one.drawn is not None for one in measures)


@pytest.mark.parametrize(
    ("sites", "told"),
    [
        (paired(people=2, each=1), "at least 3 sites scored on both scans are needed, but there are 2"),
        (paired(people=0), "at least 3 sites scored on both scans are needed, but there are 0"),
        (
            replace(paired(), first=np.full((2, 40), 0.5), second=np.full((2, 40), 0.5)),
            "no fold's model tells its sites apart",
        ),
    ],
)
def test_where_there_is_no_icc_the_reason_is_said(sites, told: str) -> None:  # type: ignore[no-untyped-def]
    found = judge(sites, independent=True)
    assert found.reason == told
    assert all(one.value is None for one in found.icc.values())


def test_each_map_is_judged_by_its_own_sites() -> None:
    sites = paired(people=3, each=30)
    swapped = sites.second.copy()
    swapped[:, 60:] = swapped[:, 60:][:, ::-1]  # the last one's second map is another's
    maps = own_maps(replace(sites, second=swapped))
    assert [(one.participant, one.sites) for one in maps] == [(f"sub-0{i}", 30) for i in range(3)]
    values = [one.icc for one in maps if one.icc is not None]
    assert min(values[:2]) > 0.8
    assert values[2] < 0.5
    assert maps[2].flip_rate > maps[0].flip_rate


def test_each_configuration_is_judged_by_its_own_cut_within_folds() -> None:
    """What a fold's model adds to all that it says, and to its threshold, changes neither figure."""
    sites = paired()
    shift = np.array(sites.fold) + np.array([[0.0], [0.25]])
    moved = replace(
        sites, first=sites.first + shift, second=sites.second + shift, threshold=sites.threshold + shift
    )
    plain, found = each_trial(sites, (4, 9)), each_trial(moved, (4, 9))
    assert [one.flip_rate for one in found] == [one.flip_rate for one in plain]
    assert min(one.flip_rate or 0.0 for one in plain) > 0
    assert [one.icc for one in found] == pytest.approx([one.icc for one in plain])


def test_each_configuration_is_judged_alone() -> None:
    sites = paired()
    noisy = sites.second.copy()
    noisy[1] = noisy[1, ::-1]
    one, other = each_trial(replace(sites, second=noisy), (4, 9))
    assert (one.trial, other.trial) == (4, 9)
    assert one.icc is not None
    assert other.icc is not None
    assert one.icc > 0.8 > other.icc
    assert one.flip_rate == float(((sites.first[0] > 0.5) != (sites.second[0] > 0.5)).mean())
    assert each_trial(paired(people=0), (4, 9))[0].flip_rate is None
