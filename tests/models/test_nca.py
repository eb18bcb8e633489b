import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import approx_fprime
from scipy.stats import zscore
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from models.nca import TOLERANCE, NcaObjective, NcaSelector, nca_weights

few = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 2**16)


def cohort(seed, n=100, noise=50, participants=30):
    """Two planted features before noise; standardised."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, 2 + noise))
    y = (x[:, 0] + x[:, 1] + 0.3 * random.normal(size=n) > 0).astype(np.int64)
    return (x - x.mean(0)) / x.std(0), y, random.integers(0, participants, n)


def by_hand(w, x, y, participant, lam, sigma):
    """The formula of SCIENCE, row by row."""
    total = -lam * sum(w**2)
    for i in range(len(x)):
        others = [j for j in range(len(x)) if participant[j] != participant[i]]
        kernel = {j: np.exp(-sum(w**2 * abs(x[i] - x[j])) / sigma) for j in others}
        total += sum(kernel[j] / sum(kernel.values()) for j in others if y[i] == y[j])
    return total


@few
@given(seeds, st.floats(0.0, 3.0), st.floats(0.3, 3.0))
def test_the_objective_is_the_formula(seed, lam, sigma):
    x, y, participant = cohort(seed, n=9, noise=1, participants=4)
    w = np.random.default_rng(seed).normal(size=3)
    value, _ = NcaObjective(x, y, participant, lam, sigma)(w)
    assert value == pytest.approx(by_hand(w, x, y, participant, lam, sigma))


@few
@given(seeds, st.floats(0.0, 3.0), st.floats(0.3, 3.0))
def test_the_gradient_is_that_of_finite_differences(seed, lam, sigma):
    x, y, participant = cohort(seed, n=20, noise=4, participants=6)
    objective = NcaObjective(x, y, participant, lam, sigma)
    w = np.random.default_rng(seed).normal(size=6)
    numeric = approx_fprime(w, lambda at: objective(at)[0], 1e-7)
    np.testing.assert_allclose(objective(w)[1], numeric, atol=2e-5)


def test_far_rows_overflow_nothing():
    x, y, participant = cohort(0)
    value, gradient = NcaObjective(1e6 * x, y, participant, lam=1.0)(np.ones(52))
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("seed", range(3))
def test_two_planted_features_are_found_among_fifty(seed):
    x, y, participant = cohort(seed)
    selector = NcaSelector(lam=5.0).fit(x, y, participant)
    assert selector.get_support(indices=True).tolist() == [0, 1]
    assert selector.weights_[2:].max() < 0.01 * selector.weights_[:2].min()


def test_the_weights_are_a_maximum_along_every_axis():
    x, y, participant = cohort(0, noise=10)
    objective, w = NcaObjective(x, y, participant, lam=1.0), nca_weights(x, y, participant, lam=1.0)
    value, gradient = objective(w)
    assert np.abs(gradient).max() < 0.01
    assert all(objective(w + step)[0] < value for step in 0.1 * np.vstack([np.eye(12), -np.eye(12)]))


def test_rows_repeated_within_their_participant_count_as_one():
    """Each row has one more to draw of the same label at no distance: its own copy, were it not forbidden."""
    x, y, participant = cohort(1, noise=10)
    twice = (np.tile(each, (2, 1)[: each.ndim]) for each in (x, y, participant))
    once = nca_weights(x, y, participant, lam=1.0)
    np.testing.assert_allclose(nca_weights(*twice, lam=2.0), once, atol=1e-3)


def test_what_marks_a_participant_is_not_found():
    """Participants' codes are in order and their labels alternate: the next participant has the other one."""
    random = np.random.default_rng(0)
    participant = np.repeat(np.arange(12), 8)
    y = participant % 2
    x = np.column_stack([participant + 0.01 * random.normal(size=96), random.normal(size=(96, 10))])
    x = (x - x.mean(0)) / x.std(0)
    assert nca_weights(x, y, participant, lam=1.0)[0] < TOLERANCE
    ungrouped = nca_weights(x, y, np.arange(96), lam=1.0)
    assert ungrouped[0] > 1
    assert ungrouped.argmax() == 0


def test_a_larger_penalty_keeps_fewer_features():
    x, y, participant = cohort(2)
    kept = [NcaSelector(lam).fit(x, y, participant).get_support().sum() for lam in (0.1, 1.0, 5.0, 1e4)]
    assert kept == sorted(kept, reverse=True)
    assert kept[0] > 2
    assert kept[-1] == 1


@pytest.mark.parametrize("seed", range(5))
def test_where_the_penalty_leaves_nothing_the_most_useful_feature_is_kept(seed):
    x, y, participant = cohort(seed)
    selector = NcaSelector(lam=1e3).fit(x, y, participant)
    assert selector.weights_.max() < TOLERANCE
    assert selector.get_support(indices=True).tolist() in ([0], [1])


def test_names_of_labels_and_the_order_of_rows_change_nothing():
    x, y, participant = cohort(3, noise=10)
    w = nca_weights(x, y, participant, lam=1.0)
    np.testing.assert_array_equal(nca_weights(x, 1 - y, 7 * participant, lam=1.0), w)
    order = np.random.default_rng(0).permutation(len(x))
    np.testing.assert_allclose(nca_weights(x[order], y[order], participant[order], lam=1.0), w, atol=1e-3)


def test_shuffled_labels_do_not_lead_to_the_planted_features():
    x, y, participant = cohort(4)
    shuffled = np.random.default_rng(0).permutation(y)
    selector = NcaSelector(lam=5.0).fit(x, shuffled, participant)
    assert not selector.get_support()[:2].any()


def test_a_single_participant_offers_no_comparison():
    x, y, _ = cohort(5, n=10, noise=1)
    nobody = np.zeros(10, np.int64)
    value, gradient = NcaObjective(x, y, nobody, lam=2.0)(np.ones(3))
    assert value == -6.0
    np.testing.assert_array_equal(gradient, [-4.0] * 3)
    assert NcaSelector().fit(x, y, nobody).get_support().sum() == 1


def test_participants_reach_the_selector_inside_a_pipeline():
    x, y, participant = cohort(0)
    pipeline = Pipeline([("scale", StandardScaler()), ("select", NcaSelector(lam=5.0))])
    assert pipeline.fit(3 * x + 1, y, select__participant=participant).transform(x).shape == (100, 2)


def test_missing_values_are_refused():
    x, y, participant = cohort(0)
    x[3, 4] = np.nan
    with pytest.raises(ValueError, match="contains NaN"):
        NcaSelector().fit(x, y, participant)


def graded(seed, n=100, noise=20, participants=30):
    """Two features before noise that a value follows; standardised."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, 2 + noise))
    y = x[:, 0] + x[:, 1] + 0.3 * random.normal(size=n)
    return zscore(x), zscore(y), random.integers(0, participants, n)


@few
@given(seeds, st.floats(0.0, 3.0), st.floats(0.3, 3.0))
def test_the_objective_of_values_is_the_expected_distance_with_its_sign_turned(seed, lam, sigma):
    x, y, participant = graded(seed, n=9, noise=1, participants=4)
    w = np.random.default_rng(seed).normal(size=3)
    expected = -lam * sum(w**2)
    for i in range(9):
        others = [j for j in range(9) if participant[j] != participant[i]]
        kernel = {j: np.exp(-sum(w**2 * abs(x[i] - x[j])) / sigma) for j in others}
        expected -= sum(kernel[j] / sum(kernel.values()) * abs(y[i] - y[j]) for j in others)
    objective = NcaObjective(x, y, participant, lam, sigma, "regression")
    value, gradient = objective(w)
    assert value == pytest.approx(expected)
    numeric = approx_fprime(w, lambda at: objective(at)[0], 1e-7)
    np.testing.assert_allclose(gradient, numeric, atol=2e-5)


@pytest.mark.parametrize("seed", range(3))
def test_two_features_that_a_value_follows_are_found_among_twenty(seed):
    selector = NcaSelector(lam=5.0, task="regression").fit(*graded(seed))
    assert selector.get_support(indices=True).tolist() == [0, 1]


def test_two_values_are_two_classes():
    """|y_i - y_j| of 0 and 1 is 1 where classes differ: less than the classes' objective by one a row."""
    x, y, participant = cohort(1, noise=3)
    w = np.array([1.0, 0.5, 0.2, 0.1, 0.3])
    classes, values = (
        NcaObjective(x, y, participant, 1.0, task=task)(w) for task in ("classification", "regression")
    )
    assert values[0] == pytest.approx(classes[0] - len(x))
    np.testing.assert_allclose(values[1], classes[1])
