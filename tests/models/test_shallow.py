import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import rankdata
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

from models.curves import log_loss, probability, roc_auc
from models.errors import ModelError
from models.shallow import fit_baseline
from models.spec import MODELS, SELECTIONS, BaselineSpec

LEARNERS = [name for name in MODELS if name != "constant"]
every_model = pytest.mark.parametrize("model", MODELS)
every_learner = pytest.mark.parametrize("model", LEARNERS)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """As in the child: on arrays this small, threads that wait for each other are all that more would add."""
    with threadpool_limits(1):
        yield


def spec(model, **settings):
    return BaselineSpec(model, forest_trees=60, **settings)


def table(seed, n=100, noise=2, kind="linear"):
    """Features of which two matter, labels, participants of about four rows."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, 2 + noise))
    score = x[:, 0] + x[:, 1] if kind == "linear" else x[:, 0] * x[:, 1]
    y = (score + 0.2 * random.normal(size=n) > 0).astype(np.int64)
    return x, y, random.integers(0, n // 4, n)


def auc(fitted, x, y):
    return roc_auc(fitted.predict(x), y)


@every_learner
def test_a_linear_signal_is_ranked_above_chance(model):
    x, y, _ = table(1, n=400)
    assert auc(fit_baseline(spec(model), *table(0), seed=0), x, y) > 0.9


@pytest.mark.parametrize("model", ["svm", "forest", "gp"])
def test_an_interaction_is_solved_by_the_models_that_bend(model):
    x, y, _ = table(1, n=400, noise=0, kind="interaction")
    assert auc(fit_baseline(spec(model), *table(0, noise=0, kind="interaction"), seed=0), x, y) > 0.85


def test_an_interaction_is_beyond_logistic_regression():
    x, y, _ = table(1, n=400, noise=0, kind="interaction")
    fitted = fit_baseline(spec("logistic"), *table(0, noise=0, kind="interaction"), seed=0)
    assert 0.35 < auc(fitted, x, y) < 0.65


@every_learner
def test_selection_finds_the_signal_in_noise_and_ranks_better_for_it(model):
    train, (x, y, _) = table(0, noise=60), table(1, n=400, noise=60)
    plain = fit_baseline(spec(model), *train, seed=0)
    chosen = fit_baseline(spec(model, selection="nca", nca_lambda=5.0), *train, seed=0)
    assert plain.selected == tuple(range(62))
    assert chosen.selected == (0, 1)
    assert auc(chosen, x, y) > auc(plain, x, y)


@every_model
@pytest.mark.parametrize("selection", SELECTIONS)
def test_fitting_again_gives_the_same_numbers(model, selection):
    train, (x, _, _) = table(0), table(1)
    first, second = (fit_baseline(spec(model, selection=selection), *train, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first.predict(x), second.predict(x))
    assert (first.parameters, first.selected) == (second.parameters, second.selected)


@every_model
def test_a_row_is_predicted_alike_in_any_company(model):
    fitted, (x, _, _) = fit_baseline(spec(model), *table(0), seed=0), table(1, n=12)
    together = fitted.predict(x)
    fitted.predict(1e3 * x)
    np.testing.assert_allclose(np.concatenate([fitted.predict(row[None]) for row in x]), together, 1e-9)


@every_model
def test_training_data_are_left_as_they_were(model):
    train = table(0)
    train[0][3, 1] = np.nan
    before = [each.copy() for each in train]
    fit_baseline(spec(model, selection="nca"), *train, seed=0)
    for each, copy in zip(train, before, strict=True):
        np.testing.assert_array_equal(each, copy)


@every_learner
@pytest.mark.parametrize("selection", SELECTIONS)
def test_the_unit_and_the_zero_of_a_column_do_not_matter(model, selection):
    (x, y, participant), (new, _, _) = table(0), table(1)
    unit, zero = np.array([8.0, 0.25, 1024.0, 1.0]), np.array([0.0, 3.0, -50.0, 1.0])
    wanted = spec(model, selection=selection)
    plain = fit_baseline(wanted, x, y, participant, seed=0)
    other = fit_baseline(wanted, unit * x + zero, y, participant, seed=0)
    np.testing.assert_allclose(other.predict(unit * new + zero), plain.predict(new), atol=1e-3)


@every_model
def test_missing_values_break_neither_training_nor_prediction(model):
    (x, y, participant), (new, labels, _) = table(0), table(1)
    random = np.random.default_rng(0)
    for each in (x, new):
        each[random.random(each.shape) < 0.2] = np.nan
    x[:, 3] = np.nan
    new[:5] = np.nan
    fitted = fit_baseline(spec(model), x, y, participant, seed=0)
    assert np.isfinite(fitted.predict(new)).all()
    assert 3 not in fitted.selected
    if model != "constant":
        assert auc(fitted, new, labels) > 0.75


@every_learner
def test_columns_that_are_constant_in_training_are_not_read(model):
    (x, y, participant), (new, _, _) = table(0), table(1)
    plain = fit_baseline(spec(model), x, y, participant, seed=0)
    dull = np.column_stack([np.full(100, 0.1), x, np.where(x[:, 0] > 0, 7.0, np.nan)])
    fitted = fit_baseline(spec(model), dull, y, participant, seed=0)
    assert fitted.selected == (1, 2, 3, 4)
    surprising = np.column_stack([np.full(100, 1e9), new, np.full(100, -1e9)])
    np.testing.assert_array_equal(fitted.predict(surprising), plain.predict(new))


@pytest.mark.parametrize("columns", [0, 3])
def test_the_constant_model_predicts_the_prevalence(columns):
    y = np.array([1, 1, 0, 1])
    fitted = fit_baseline(spec("constant"), np.zeros((4, columns)), y, np.arange(4), seed=0)
    np.testing.assert_array_equal(fitted.predict(np.ones((2, columns))), [0.75, 0.75])
    assert (fitted.parameters, fitted.selected) == (1, ())


@every_model
@pytest.mark.parametrize(("label", "expected"), [(0, 1 / 20), (1, 19 / 20)])
def test_a_single_class_is_predicted_as_a_constant_short_of_certainty(model, label, expected):
    x, _, participant = table(0, n=10)
    fitted = fit_baseline(spec(model), x, np.full(10, label), participant[:10], seed=0)
    np.testing.assert_allclose(fitted.predict(x), expected)
    assert fitted.parameters == 1


@every_model
def test_without_a_column_that_varies_the_prevalence_is_predicted(model):
    fitted = fit_baseline(spec(model), np.ones((5, 2)), np.array([1, 0, 0, 0, 0]), np.arange(5), seed=0)
    np.testing.assert_allclose(fitted.predict(np.zeros((3, 2))), 0.2)


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(LEARNERS),
    st.sampled_from(SELECTIONS),
    st.integers(2, 12),
    st.integers(1, 4),
    st.integers(0, 99),
)
def test_no_fold_is_too_small(model, selection, rows, participants, seed):
    random = np.random.default_rng(seed)
    x, y = random.normal(size=(rows, 3)), random.integers(0, 2, rows)
    wanted = replace(spec(model, selection=selection), forest_trees=5)
    chance = fit_baseline(wanted, x, y, random.integers(0, participants, rows), seed).predict(x)
    assert ((chance >= 0) & (chance <= 1)).all()


@pytest.mark.parametrize(
    "extreme", [{"regularisation": 1e-6}, {"regularisation": 1e6}, {"svm_gamma": 1e-4}, {"svm_gamma": 1e4}]
)
@pytest.mark.parametrize("model", ["logistic", "svm"])
def test_extreme_settings_give_probabilities_without_a_warning(model, extreme):
    x, y, participant = table(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        chance = fit_baseline(spec(model, **extreme), x, y, participant, seed=0).predict(x)
    assert ((chance >= 0) & (chance <= 1)).all()


def test_a_gaussian_process_on_noise_warns_of_nothing_and_stays_near_the_prevalence():
    x, _, participant = table(0, noise=60)
    y = np.random.default_rng(1).permutation(np.repeat([0, 1], [70, 30]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        chance = fit_baseline(spec("gp"), x, y, participant, seed=0).predict(table(1, noise=60)[0])
    assert chance.mean() == pytest.approx(0.3, abs=0.06)


@pytest.mark.parametrize("regularisation", [0.01, 1.0, 30.0])
def test_logistic_regression_is_ridge_with_a_free_intercept(regularisation):
    x, y, participant = table(0, n=60)
    z = np.column_stack([(x - x.mean(0)) / x.std(0), np.ones(60)])

    def loss(w):
        return 60 * log_loss(z @ w, y) + regularisation / 2 * np.sum(w[:-1] ** 2)

    expected = probability(z @ minimize(loss, np.zeros(5), options={"gtol": 1e-8}).x)
    fitted = fit_baseline(spec("logistic", regularisation=regularisation), x, y, participant, seed=0)
    np.testing.assert_allclose(fitted.predict(x), expected, atol=2e-4)
    assert fitted.parameters == 5


def test_the_probabilities_of_a_support_vector_machine_are_in_the_order_of_one_machine():
    (x, y, participant), (new, _, _) = table(0), table(1)
    scaler = StandardScaler().fit(x)
    alone = SVC(C=2.0, gamma="scale").fit(scaler.transform(x), y)
    fitted = fit_baseline(spec("svm", regularisation=0.5), x, y, participant, seed=0)
    margin = alone.decision_function(scaler.transform(new))
    np.testing.assert_array_equal(rankdata(fitted.predict(new)), rankdata(margin))
    assert fitted.parameters == alone.n_support_.sum() + 1 + 2


def test_a_support_vector_machine_is_calibrated_on_participants_it_has_not_seen():
    """Participants have places in a row and their labels alternate: the neighbours mislead."""
    participant = np.repeat(np.arange(16), 6)
    x = participant[:, None] + np.random.default_rng(0).normal(scale=0.05, size=(96, 1))
    wanted = spec("svm", svm_gamma=40.0)
    grouped = fit_baseline(wanted, x, participant % 2, participant, seed=0).predict(x)
    ungrouped = fit_baseline(wanted, x, participant % 2, np.arange(96), seed=0).predict(x)
    np.testing.assert_allclose(grouped, 0.5, atol=0.03)
    assert np.abs(ungrouped - 0.5).min() > 0.4


def test_a_support_vector_machine_without_a_second_participant_stays_undecided():
    x, y, _ = table(0)
    chance = fit_baseline(spec("svm"), x, y, np.zeros(100, np.int64), seed=0).predict(x)
    assert roc_auc(chance, y) > 0.9
    np.testing.assert_allclose(chance, y.mean(), atol=0.03)


def test_a_forest_counts_the_nodes_of_its_trees_and_obeys_its_seed():
    x, y, participant = table(0, n=12)
    stumps = replace(spec("forest"), forest_trees=7, forest_leaf=6)
    assert fit_baseline(stumps, x, y, participant, seed=0).parameters <= 7 * 3
    whole = replace(spec("forest"), forest_trees=7, forest_leaf=12)
    assert fit_baseline(whole, x, y, participant, seed=0).parameters == 7
    train, (new, _, _) = table(0), table(1)
    one, other = (fit_baseline(spec("forest"), *train, seed=seed).predict(new) for seed in (0, 1))
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("seed", range(4))
def test_a_gaussian_process_tells_rows_apart_even_in_many_columns_of_noise(seed):
    x, _, participant = table(seed, n=40, noise=98)
    y = np.random.default_rng(seed).permutation(np.arange(40) % 2)
    chance = fit_baseline(spec("gp"), x, y, participant, seed=0).predict(table(9, noise=98)[0])
    assert len(np.unique(chance)) == 100


def test_a_gaussian_process_counts_its_rows_and_two_hyperparameters():
    assert fit_baseline(spec("gp"), *table(0, n=40), seed=0).parameters == 42


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": np.zeros(4)}, r"a table \(rows, columns\) is needed, but got the shape \(4,\)"),
        ({"x": np.array([[0.0], [1.0], [np.inf], [-np.inf]])}, "but got 2 that are infinite"),
        ({"y": np.array([0, 1, 2, 1])}, r"0 and 1 are needed, but got \[0, 1, 2\]"),
        ({"y": np.array([0, 1])}, "got 4 rows, 2 labels, 4 participants"),
        ({"participant": np.arange(5)}, "got 4 rows, 4 labels, 5 participants"),
    ],
)
def test_input_that_is_no_training_fold_is_refused(change, message):
    given = {"x": np.eye(4), "y": np.array([0, 1, 0, 1]), "participant": np.arange(4), **change}
    with pytest.raises(ModelError, match=message):
        fit_baseline(spec("logistic"), **given, seed=0)


@every_model
def test_rows_with_other_columns_than_in_training_are_refused(model):
    fitted = fit_baseline(spec(model), *table(0), seed=0)
    with pytest.raises(ModelError, match="as many columns as in training, 4, are needed, but got 3"):
        fitted.predict(np.zeros((2, 3)))
