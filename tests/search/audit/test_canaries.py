from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from data_prep.volumes import read_volume
from search.audit.canaries import (
    check_canaries,
    doctored_voxels,
    label_canary,
    participant_labels,
    scan_canaries,
)
from search.audit.identity_probe import Labelled, labelled
from search.audit.record import NOT_CHECKED, PASSED, SUSPICIOUS
from search.audit.scans import Scans
from search.audit.subject import Subject


def test_every_alarm_works_on_the_toy_cohort(audited: Subject, scans: Scans) -> None:
    found = check_canaries(scans, labelled(audited))
    assert [check.name for check in found] == [
        "canary: two ids",
        "canary: duplicated scan",
        "canary: flipped scan",
        "canary: cropped scan",
        "canary: participant labels",
    ]
    assert {check.verdict for check in found} == {PASSED}
    assert [found[0].figures["found"], found[1].figures["found"]] == [3, 1]


def test_an_alarm_that_does_not_ring_is_told(scans: Scans, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.audit.canaries.likenesses", lambda *_: [])
    assert {check.verdict for check in scan_canaries(scans)} == {SUSPICIOUS}


def test_an_alarm_of_labels_that_is_deaf_to_images_and_shares_is_told(
    audited: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some planted participants have both labels, so that counting these alone finds nothing."""
    data = labelled(audited)
    assert label_canary(data).figures["participants_with_both_labels"] > 0
    monkeypatch.setattr("search.audit.identity_probe.intraclass", lambda *_: 0.0)
    monkeypatch.setattr("search.audit.identity_probe.auc_by_fold", lambda *_: 0.5)
    check = label_canary(data)
    assert (check.verdict, check.figures["verdict"]) == (SUSPICIOUS, PASSED)


def test_too_few_participants_are_told(scans: Scans) -> None:
    few = replace(scans, scans=scans.scans[:6])
    assert {check.verdict for check in scan_canaries(few)} == {NOT_CHECKED}
    single = Labelled(np.eye(6), np.arange(6) % 2, np.arange(6), np.arange(6) % 2)
    assert label_canary(single).verdict == NOT_CHECKED


def test_a_planted_copy_is_not_the_voxels_themselves(scans: Scans) -> None:
    volume = scans.visits[0].images["T1"]
    original = read_volume(volume)
    copy = doctored_voxels(original)
    moved = np.roll(original, 1, axis=0)
    assert not np.array_equal(copy, original)
    assert np.corrcoef(copy.ravel(), moved.ravel())[0, 1] > 0.99
    assert len(np.unique(copy)) <= 65536


def test_planted_labels_are_one_a_participant_but_for_a_few_biopsies() -> None:
    participant = np.append(np.repeat(np.arange(20), 3), 20)
    label, exceptions = participant_labels(participant)
    mixed = [p for p in range(21) if len(set(label[participant == p].tolist())) == 2]
    assert (exceptions, len(mixed)) == (3, 3)
    majority = [int(label[participant == p].mean() > 0.5) for p in range(21)]
    assert sum(majority) == 10
    assert participant_labels(np.arange(6))[1] == 0
