from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from search.audit.identity_probe import (
    Labelled,
    chance_of_pure,
    check_labels,
    check_probe,
    check_within,
    intraclass,
    labelled,
    mixed_participants,
    nearest_is_same,
)
from search.audit.record import LEAK, NOT_APPLICABLE, NOT_CHECKED, PASSED, SUSPICIOUS
from search.audit.subject import Subject
from search.statistics.performance import Measured


def recognisable(people: int = 30, each: int = 4, seed: int = 0) -> Labelled:
    """Images that tell who it is and nothing else; labels dealt at random to biopsies."""
    rng = np.random.default_rng(seed)
    participant = np.repeat(np.arange(people), each)
    features = rng.normal(size=(people, 6))[participant] + 0.1 * rng.normal(size=(people * each, 6))
    label = rng.permutation(people * each) % 2
    return Labelled(features, label, participant, participant % 5)


def test_labels_of_the_participant_alone_are_caught_by_name() -> None:
    data = recognisable()
    planted = replace(data, label=(np.random.default_rng(1).permutation(30) % 2)[data.participant])
    check = check_labels(planted)
    assert (check.name, check.verdict) == ("participant labels", LEAK)
    assert "depend on the participant alone" in check.sentence
    assert abs(check.figures["grouped_auc"] - 0.5) < 0.2
    assert check.figures["random_split_auc"] > 0.9
    assert check.figures["participants_with_both_labels"] == 0


def test_labels_that_are_nearly_the_participants_are_caught_too() -> None:
    data = recognisable()
    label = (np.random.default_rng(1).permutation(30) % 2)[data.participant]
    label[0] = 1 - label[0]
    assert check_labels(replace(data, label=label)).verdict == LEAK
    for row in range(0, 120, 8):  # every second participant has one biopsy of the other label
        label[row] = 1 - label[row]
    assert check_labels(replace(data, label=label)).verdict == SUSPICIOUS


def test_labels_that_are_mostly_the_participants_are_suspicious_whatever_images_tell() -> None:
    """Four of 45 participants with one biopsy of the other label, and images of noise."""
    participant = np.repeat(np.arange(45), 3)
    label = (np.random.default_rng(1).permutation(45) % 2)[participant]
    label[:12:3] = 1 - label[:12:3]
    noise = np.random.default_rng(2).normal(size=(135, 4))
    check = check_labels(Labelled(noise, label, participant, participant % 5))
    assert check.verdict == SUSPICIOUS
    assert 0.5 <= check.figures["label_icc"] < 0.9
    assert f"(ICC) is {check.figures['label_icc']:.2f}" in check.sentence


def test_labels_of_the_biopsies_pass() -> None:
    check = check_labels(recognisable())
    assert check.verdict == PASSED
    assert check.figures["label_icc"] < 0.2


def test_few_participants_can_be_pure_by_chance() -> None:
    data = Labelled(np.eye(4), np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1]))
    assert chance_of_pure(data.label, data.participant) == 0.25
    assert check_labels(data).verdict != LEAK


def test_participants_with_one_biopsy_each_tell_nothing() -> None:
    data = recognisable(people=20, each=1)
    assert check_labels(data).verdict == NOT_APPLICABLE
    assert check_probe(data).verdict == NOT_APPLICABLE
    assert intraclass(data.label, data.participant) is None


@pytest.mark.parametrize(
    ("label", "participant", "expected"),
    [
        ([0, 0, 1, 1], [0, 0, 1, 1], 1.0),
        ([0, 1, 0, 1], [0, 0, 1, 1], -1.0),
        # Groups (0, 0), (1, 1), (0, 1): MSB = 0.5, MSW = 1/6, n0 = 2.
        ([0, 0, 1, 1, 0, 1], [0, 0, 1, 1, 2, 2], 0.5),
    ],
)
def test_intraclass_correlation_by_hand(label: list[int], participant: list[int], expected: float) -> None:
    assert intraclass(np.array(label), np.array(participant)) == pytest.approx(expected)


def test_counts_and_chances_against_simulation() -> None:
    rng = np.random.default_rng(0)
    participant = np.array([0, 0, 0, 1, 1, 2])
    draws = rng.random((40_000, 6)) < 0.3
    pure = [all(len(set(row[participant == p].tolist())) == 1 for p in range(3)) for row in draws[:5000]]
    label = np.array([1, 0, 0, 0, 1, 0])
    weighted = np.repeat(label, 1)
    assert mixed_participants(label, participant) == 2
    share = weighted.mean()
    exact = (share**3 + (1 - share) ** 3) * (share**2 + (1 - share) ** 2)
    assert chance_of_pure(label, participant) == pytest.approx(exact)
    assert np.mean(pure) == pytest.approx((0.3**3 + 0.7**3) * (0.3**2 + 0.7**2), abs=0.03)


def test_the_nearest_biopsy_against_a_plain_search() -> None:
    data = recognisable(people=8, each=3)
    features = data.features.copy()
    features[5, 2] = np.nan
    found = nearest_is_same(features, data.participant)
    filled = np.where(np.isnan(features), np.nanmean(features, axis=0), features)
    unit = (filled - np.nanmean(features, axis=0)) / np.nanstd(features, axis=0)
    hits = 0
    for i in range(24):
        distances = [np.inf if j == i else np.linalg.norm(unit[i] - unit[j]) for j in range(24)]
        hits += data.participant[int(np.argmin(distances))] == data.participant[i]
    assert found is not None
    assert found == (pytest.approx(hits / 24), pytest.approx(2 / 23))
    assert check_probe(data).figures["same_participant"] > 0.9


@pytest.mark.parametrize(
    ("pooled", "within", "verdict"),
    [(0.8, 0.5, SUSPICIOUS), (0.8, 0.7, PASSED), (0.6, 0.5, PASSED), (0.8, None, NOT_CHECKED)],
)
def test_a_result_between_participants_alone_is_flagged(
    audited: Subject, pooled: float, within: float | None, verdict: str
) -> None:
    subject = replace(audited)
    measured = {"roc_auc": Measured(pooled, 0.6, 0.9), "within_participant_auc": Measured(within, 0.3, 0.8)}
    subject.__dict__["winner_measured"] = measured
    assert check_within(subject).verdict == verdict


def test_a_study_is_read_as_its_material_has_it(audited: Subject) -> None:
    data = labelled(audited)
    assert data.features.shape == (36, 3)
    np.testing.assert_array_equal(data.label, audited.material.labels.label)
    np.testing.assert_array_equal(data.fold, audited.material.folds.fold[0])
