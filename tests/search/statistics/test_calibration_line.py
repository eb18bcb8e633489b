from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.optimize import brentq, minimize
from scipy.special import expit
from scipy.stats import t

from search.statistics.calibration_line import calibration_intercept, calibration_slope, logits


def drawn(
    people: int, a: float, b: float, seed: int = 0, each: int = 3, between: float = 0.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels whose true logit is a + b * that of the probability, and a part of each participant's own."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(people), each)
    x = rng.normal(size=len(who))
    own = between * rng.normal(size=people)[who]
    return (rng.random(len(who)) < expit(a + b * x + own)).astype(np.int64), expit(x), who


@pytest.mark.parametrize(("a", "b"), [(0.0, 1.0), (0.7, 1.0), (0.0, 0.4), (0.0, 2.0)])
def test_the_line_that_made_the_labels_is_found(a: float, b: float) -> None:
    label, probability, who = drawn(4000, a, b)
    slope, intercept = (f(label, probability, who) for f in (calibration_slope, calibration_intercept))
    assert slope is not None
    assert slope[1] is not None
    assert slope[2] is not None
    assert slope[0] == pytest.approx(b, abs=0.1)
    assert 0.02 < slope[2] - slope[1] < 0.3
    assert intercept is not None
    if b == 1:
        assert intercept[0] == pytest.approx(a, abs=0.06)


def test_both_are_the_likeliest_by_another_optimiser() -> None:
    label, probability, who = drawn(40, 0.3, 0.5)
    x = logits(probability)

    def loss(line: np.ndarray) -> float:
        return float(-np.sum(np.log(expit((2 * label - 1) * (line[0] + line[1] * x)))))

    best = minimize(loss, [0.0, 1.0], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12})
    large = minimize(
        lambda a: loss(np.array([a[0], 1.0])), [0.0], method="Nelder-Mead", options={"xatol": 1e-9}
    )
    slope, intercept = (f(label, probability, who) for f in (calibration_slope, calibration_intercept))
    assert slope is not None
    assert slope[0] == pytest.approx(best.x[1], abs=1e-5)
    assert intercept is not None
    assert intercept[0] == pytest.approx(large.x[0], abs=1e-5)


def test_a_constant_prediction_has_the_intercept_of_its_excess_and_no_slope() -> None:
    """3 of 4 positive where 1/2 was said: logit(3/4) - logit(1/2) = log 3."""
    label, half, who = np.array([1, 1, 1, 0]), np.full(4, 0.5), np.arange(4)
    found = calibration_intercept(label, half, who)
    assert found is not None
    assert found[0] == pytest.approx(np.log(3))
    assert calibration_slope(label, half, who) is None


@pytest.mark.parametrize(
    ("label", "probability"),
    [
        ([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4]),
        ([1, 1, 0, 0], [0.1, 0.2, 0.3, 0.4]),
        ([0, 0, 1, 1], [0.1, 0.3, 0.3, 0.4]),
        ([0, 0, 0, 1], [0.0, 0.0, 1.0, 1.0]),
        ([1, 1, 1], [0.1, 0.3, 0.5]),
        ([0, 0, 0], [0.1, 0.3, 0.5]),
    ],
    ids=["separated", "the wrong way", "up to a tie", "certain", "positives only", "negatives only"],
)
def test_a_slope_that_would_be_infinite_is_none_and_nothing_is_warned_of(
    label: list[int], probability: list[float]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = calibration_slope(np.array(label), np.array(probability), np.arange(len(label)))
        intercept = calibration_intercept(np.array(label), np.array(probability), np.arange(len(label)))
    assert found is None
    assert (intercept is None) == (len(set(label)) == 1)


def test_certain_and_wrong_predictions_have_a_line() -> None:
    found = calibration_slope(np.array([0, 1, 0, 1]), np.array([0.0, 0.0, 1.0, 1.0]), np.arange(4))
    assert found is not None
    assert found[0] == pytest.approx(0.0, abs=1e-6)


def test_copies_of_a_biopsy_tell_no_more_than_the_biopsy() -> None:
    label, probability, _ = drawn(60, 0.2, 0.8, each=1)
    once = (label, probability, np.arange(60))
    thrice = tuple(np.repeat(array, 3) for array in once)
    for line in (calibration_slope, calibration_intercept):
        assert line(*thrice) == pytest.approx(line(*once), rel=1e-5)


def test_the_interval_is_the_sandwich_written_out() -> None:
    """Inverse of the information, sums of the scores of each participant, I/(I-1), Student's t; by loops."""
    label, probability, who = drawn(12, 0.3, 0.6)
    x, reach = logits(probability), t.ppf(0.975, 11)
    for line, free in ((calibration_slope, True), (calibration_intercept, False)):
        found = line(label, probability, who)
        assert found is not None
        if free:  # at the likeliest slope, the intercept at which predictions and labels agree in the large
            a = brentq(lambda a, b=found[0]: np.sum(label - expit(a + b * x)), -10, 10, xtol=1e-12)
            p = expit(a + found[0] * x)
        else:
            p = expit(found[0] + x)
        information, meat = np.zeros((2, 2)), np.zeros((2, 2))
        for person in range(12):
            score = np.zeros(2)
            for i in np.flatnonzero(who == person):
                row = np.array([x[i] if free else 0.0, 1.0])
                information += np.outer(row, row) * p[i] * (1 - p[i])
                score += row * (label[i] - p[i])
            meat += np.outer(score, score) * 12 / 11
        bread = np.linalg.pinv(information)
        variance = np.diag(bread @ meat @ bread)[0 if free else 1]
        expected = (found[0] - reach * variance**0.5, found[0] + reach * variance**0.5)
        assert found[1:] == pytest.approx(expected, rel=1e-6)


def test_one_participant_has_no_interval() -> None:
    label, probability = np.array([0, 1, 0, 1]), np.array([0.2, 0.3, 0.4, 0.5])
    for line in (calibration_slope, calibration_intercept):
        found = line(label, probability, np.zeros(4, dtype=np.int64))
        assert found is not None
        assert found[1:] == (None, None)


def test_intervals_hold_the_truth_where_participants_differ() -> None:
    """150 cohorts of 45 participants with 4 biopsies each, whose own effect the model does not know."""
    sd = 1.0
    x = np.random.default_rng(1).normal(size=200_000)
    y = np.random.default_rng(2).random(len(x)) < expit(x + sd * np.random.default_rng(3).normal(size=len(x)))
    truth = calibration_slope(y.astype(np.int64), expit(x), np.arange(len(x)) % 1000)
    large = calibration_intercept(y.astype(np.int64), expit(x), np.arange(len(x)) % 1000)
    assert truth is not None
    assert large is not None
    held = np.zeros(2)
    for seed in range(150):
        cohort = drawn(45, 0.0, 1.0, seed=seed, each=4, between=sd)
        for place, (line, value) in enumerate(
            ((calibration_slope, truth[0]), (calibration_intercept, large[0]))
        ):
            found = line(*cohort)
            assert found is not None
            assert found[1] is not None
            assert found[2] is not None
            held[place] += found[1] < value < found[2]
    assert np.all(held / 150 > 0.9), held / 150
