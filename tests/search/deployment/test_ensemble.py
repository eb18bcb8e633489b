"""The ensemble by closed forms, by a second plain implementation, and by what may be relied upon."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

from data_prep.problems import InputError
from models.calibration import Calibration, platt
from search.deployment.ensemble import fit_ensemble, log_odds, rank
from search.metrics import count_pairs, matching_threshold

N = 60


def drawn(seed: int, configurations: int = 3, labels: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Scores that tell something of the labels, each configuration on a scale of its own."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, size=(N, labels))
    label[:2] = [[0] * labels, [1] * labels]
    noise = rng.normal(size=(N, configurations, labels))
    scale = np.exp(rng.normal(size=(1, configurations, 1)))
    return scale * (noise + 1.2 * label[:, None, :]) + rng.normal(size=(1, configurations, 1)), label


def plainly(scores: np.ndarray, label: np.ndarray, new: np.ndarray) -> np.ndarray:
    """The probability of one label, place by place and configuration by configuration, without ties."""

    def position(known: np.ndarray, score: float) -> float:
        known = np.sort(known)
        height = [logit((i + 0.5) / len(known)) for i in range(len(known))]
        end = (height[-1] - height[0]) / (known[-1] - known[0])
        if score <= known[0]:
            return float(height[0] - end * (known[0] - score))
        if score >= known[-1]:
            return float(height[-1] + end * (score - known[-1]))
        i = int(np.searchsorted(known, score, side="right")) - 1
        part = (score - known[i]) / (known[i + 1] - known[i])
        return float(height[i] + part * (height[i + 1] - height[i]))

    def together(places: np.ndarray) -> np.ndarray:
        means = [
            np.mean([expit(position(k, s)) for k, s in zip(scores.T, row, strict=True)]) for row in places
        ]
        return logit(np.array(means))

    line = platt(together(scores), label)
    return expit(line.slope * together(new) + line.intercept)


def around(scores: np.ndarray, label: np.ndarray) -> Calibration:
    """Platt's sigmoid, fitted around the mean of the scores."""
    line = platt(scores - scores.mean(), label)
    return Calibration(line.slope, line.intercept - line.slope * scores.mean())


@pytest.mark.parametrize("seed", range(3))
def test_the_mean_rank_is_calibrated_as_a_plain_loop_has_it(seed: int) -> None:
    scores, labels = drawn(seed, labels=2)
    new = np.random.default_rng(seed + 100).normal(0.5, 2.0, size=(40, 3, 2))
    said = fit_ensemble(scores, labels).probability(new)
    for k in range(2):
        expected = plainly(scores[:, :, k], labels[:, k], new[:, :, k])
        np.testing.assert_allclose(said[:, k], expected, rtol=1e-3)


def test_of_four_known_scores_the_ranks_are_eighths() -> None:
    known = (1.0, 2.0, 4.0, 8.0)
    np.testing.assert_allclose(expit(rank(known, np.array(known))), [1 / 8, 3 / 8, 5 / 8, 7 / 8])
    middle = (logit(3 / 8) + logit(5 / 8)) / 2
    np.testing.assert_allclose(rank(known, np.array([3.0])), middle, atol=1e-15)
    slope = 2 * logit(7 / 8) / 7
    np.testing.assert_allclose(
        rank(known, np.array([0.0, 10.0])), logit(7 / 8) * np.array([-1, 1]) + [-slope, 2 * slope]
    )


def test_equal_known_scores_share_the_mean_of_their_ranks() -> None:
    np.testing.assert_allclose(
        expit(rank((0.0, 1.0, 1.0, 2.0), np.array([0.0, 1.0, 2.0]))), [1 / 8, 1 / 2, 7 / 8]
    )


@pytest.mark.parametrize("value", [0.0, -3.5, 1e6])
def test_a_configuration_that_always_says_the_same_has_rank_one_half(value: float) -> None:
    known = np.sort(value * (1 + 1e-12 * np.arange(5)))
    np.testing.assert_array_equal(rank(tuple(known), np.array([value, value + 1.0, -1e300])), 0.0)
    scores, labels = drawn(0)
    scores[:, 1] = value
    ensemble = fit_ensemble(scores, labels)
    other = scores.copy()
    other[:, 1] += 5.0
    np.testing.assert_array_equal(ensemble.probability(other), ensemble.probability(scores))
    without = fit_ensemble(np.delete(scores, 1, axis=1), labels)
    order = np.argsort(without.probability(scores[:, [0, 2]])[:, 0])
    assert (np.diff(ensemble.probability(scores)[order, 0]) >= -1e-12).all()


def test_where_all_say_nothing_the_probability_is_the_prevalence() -> None:
    labels = (np.arange(N) < 45).astype(np.int64)[:, None]
    ensemble = fit_ensemble(np.full((N, 2, 1), 0.7), labels)
    said = ensemble.probability(np.array([[[0.7], [0.7]], [[9.0], [-9.0]]]))
    # Platt's targets draw it to one half by as much as two more biopsies would.
    targets = np.where(labels == 1, 46 / 47, 1 / 17)
    np.testing.assert_allclose(said, targets.mean(), atol=1e-4)
    np.testing.assert_allclose(ensemble.alone(np.full((1, 2, 1), 0.9)), targets.mean(), atol=1e-4)


@settings(max_examples=25)
@given(
    seed=st.integers(0, 50),
    configuration=st.integers(0, 2),
    start=st.floats(-30, 30),
    step=st.floats(1e-3, 30),
)
def test_it_rises_with_each_score_also_beyond_the_ends(
    seed: int, configuration: int, start: float, step: float
) -> None:
    scores, labels = drawn(seed)
    low = np.random.default_rng(seed).normal(size=(1, 3, 1))
    low[0, configuration] = start
    high = low.copy()
    high[0, configuration] += step
    ensemble = fit_ensemble(scores, labels)
    margins = [ensemble.heads[0].margin(place[:, :, 0])[0] for place in (low, high)]
    assert margins[0] <= margins[1]
    assert ensemble.probability(low) <= ensemble.probability(high)
    if abs(start) < 5:
        assert margins[0] < margins[1]
        assert ensemble.probability(low) < ensemble.probability(high)


def test_no_two_places_of_a_map_tie_beyond_the_ends() -> None:
    scores, labels = drawn(1)
    far = np.linspace(5.0, 60.0, 500)[:, None, None] * np.ones((1, 3, 1))
    ensemble = fit_ensemble(scores, labels)
    for places in (far, -far):
        assert len(np.unique(ensemble.heads[0].margin(places[:, :, 0]))) == 500


@given(st.integers(0, 30))
@settings(max_examples=6)
def test_what_stretches_a_configurations_scores_changes_nothing(seed: int) -> None:
    """A line changes nothing anywhere; any other rise nothing at the known scores, which have their ranks."""
    scores, labels = drawn(seed)
    line, rise = 3.0 * scores[:, [0]] + 2.0, np.expm1(scores[:, [0]])
    said = fit_ensemble(scores, labels)
    new = np.random.default_rng(seed).normal(size=(20, 3, 1))
    stretched = np.concatenate([3.0 * new[:, [0]] + 2.0, new[:, 1:]], axis=1)
    other = fit_ensemble(np.concatenate([line, scores[:, 1:]], axis=1), labels)
    np.testing.assert_allclose(other.probability(stretched), said.probability(new), rtol=1e-7)
    risen = np.concatenate([rise, scores[:, 1:]], axis=1)
    np.testing.assert_allclose(
        fit_ensemble(risen, labels).probability(risen), said.probability(scores), rtol=1e-7
    )


def test_one_configuration_is_calibrated_on_its_own_score() -> None:
    scores, labels = drawn(2, configurations=1)
    ensemble = fit_ensemble(scores, labels)
    line = around(scores[:, 0, 0], labels[:, 0])
    new = np.linspace(-5, 5, 11)[:, None, None]
    np.testing.assert_allclose(
        ensemble.probability(new)[:, 0], expit(line.slope * new[:, 0, 0] + line.intercept)
    )
    np.testing.assert_array_equal(ensemble.alone(new)[:, 0], ensemble.probability(new))


def test_each_alone_is_calibrated_by_its_own_scores_and_seeds_by_their_configurations() -> None:
    scores, labels = drawn(3)
    ensemble = fit_ensemble(scores, labels)
    lines = [around(scores[:, c, 0], labels[:, 0]) for c in range(3)]
    new = np.random.default_rng(0).normal(size=(7, 4, 1))
    alone = ensemble.alone(new, [2, 0, 0, 1])
    for column, c in enumerate((2, 0, 0, 1)):
        expected = expit(lines[c].slope * new[:, column, 0] + lines[c].intercept)
        np.testing.assert_allclose(alone[:, column, 0], expected, rtol=1e-12)
    np.testing.assert_allclose(ensemble.alone(new[:, :3]), ensemble.alone(new[:, :3], [0, 1, 2]))


def test_the_threshold_calls_as_many_positive_as_are() -> None:
    scores, labels = drawn(4)
    ensemble = fit_ensemble(scores, labels)
    said = ensemble.probability(scores)[:, 0]
    assert ensemble.thresholds.shape == (1,)
    assert ensemble.thresholds[0] == matching_threshold(labels[:, 0], said)
    assert (said > ensemble.thresholds[0]).sum() == labels.sum()


def test_together_they_rank_better_than_each_alone_on_average() -> None:
    scores, labels = drawn(5, configurations=6)
    ensemble = fit_ensemble(scores, labels)
    label = labels[:, 0]
    together = count_pairs(label, ensemble.probability(scores)[:, 0]).auc
    alone = [count_pairs(label, scores[:, c, 0]).auc for c in range(6)]
    assert together is not None
    assert together > np.mean([auc for auc in alone if auc is not None]) + 0.05


def test_unknown_labels_count_for_the_ranks_alone() -> None:
    scores, labels = drawn(6, labels=2)
    labels[::3, 1] = -1
    labels[1:3, 1] = [0, 1]
    ensemble = fit_ensemble(scores, labels)
    known = labels[:, 1] >= 0
    head = ensemble.heads[1]
    assert all(len(one) == N for one in head.scores)
    assert head.own[0] == around(scores[known, 0, 1], labels[known, 1])
    assert head.together == around(head.margin(scores[:, :, 1])[known], labels[known, 1])
    assert ensemble.heads[0] == fit_ensemble(scores[:, :, :1], labels[:, :1]).heads[0]


def test_a_label_of_one_kind_and_scores_that_are_none_are_told_at_once() -> None:
    scores, labels = drawn(7, labels=3)
    labels[:, 1] = 1
    labels[:, 2] = -1
    scores[3, 0, 0] = np.nan
    with pytest.raises(InputError) as caught:
        fit_ensemble(scores, labels, ["CD3D", "CD8A", "CD4"])
    assert caught.value.problems == (
        "CD3D: finite out-of-fold scores are needed, but some are not",
        "CD8A: biopsies with and without it are needed to calibrate, but all 60 that are known are 1",
        "CD4: biopsies with and without it are needed to calibrate, but none is known",
    )


def test_nothing_known_of_a_score_is_nothing_known_of_the_place() -> None:
    scores, labels = drawn(8)
    ensemble = fit_ensemble(scores, labels)
    new = scores[:3].copy()
    new[1, 2, 0] = np.nan
    assert np.isnan(ensemble.probability(new)[:, 0]).tolist() == [False, True, False]
    np.testing.assert_array_equal(ensemble.probability(new)[[0, 2]], ensemble.probability(scores[[0, 2]]))


def test_log_odds_of_certainty_are_finite_and_ordered() -> None:
    said = log_odds(np.array([0.0, 1e-300, 0.25, 0.5, 1 - 2**-53, 1.0]))
    assert np.isfinite(said).all()
    assert (np.diff(said) >= 0).all()
    np.testing.assert_allclose(said[2:4], [-np.log(3), 0.0])
    assert said[0] == -said[-1]
    assert 7 < said[-1] < 8


@given(st.floats(2e-16, 1 - 2e-16))
def test_log_odds_rise_strictly_and_are_opposite(p: float) -> None:
    pair = log_odds(np.array([p, np.nextafter(p, 1.0)]))
    assert pair[0] <= pair[1]
    assert log_odds(np.array([p / 1.001]))[0] < pair[0]
    np.testing.assert_allclose(log_odds(np.array([0.5 + (0.5 - p)])), -pair[0], rtol=1e-3, atol=1e-12)


def test_one_contradicting_certainty_does_not_flatten_the_calibration() -> None:
    rng = np.random.default_rng(1)
    z = rng.normal(size=150)
    label = (z + rng.normal(size=150) > 0).astype(np.int64)
    p, first = expit(1.7 * z), np.flatnonzero(label == 1)[0]

    def slope(value: float) -> float:
        said = p.copy()
        said[first] = value
        return fit_ensemble(log_odds(said)[:, None, None], label[:, None]).heads[0].together.slope

    assert slope(0.0) > 0.85 * slope(0.01) > 0.85 * 1.0


def test_scores_far_from_zero_are_calibrated_as_well() -> None:
    scores, labels = drawn(9)
    far = fit_ensemble(scores + 1e4, labels)
    np.testing.assert_allclose(
        far.alone(scores + 1e4), fit_ensemble(scores, labels).alone(scores), rtol=1e-4, atol=1e-6
    )
