from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import zscore
from sklearn.svm import SVR
from threadpoolctl import threadpool_limits

from models.errors import ModelError
from models.shallow import fit_baseline
from models.spec import MODELS, BaselineSpec

LEARNERS = [name for name in MODELS if name != "constant"]
every_model = pytest.mark.parametrize("model", MODELS)
every_learner = pytest.mark.parametrize("model", LEARNERS)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """As in the child: on arrays this small, threads that wait for each other are all that more would add."""
    with threadpool_limits(1):
        yield


def spec(model, **settings):
    return BaselineSpec(model, forest_trees=40, task="regression", **settings)


def table(seed, n=100, noise=2, kind="linear"):
    """Features of which two matter, values in units of their own, participants of about four rows."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, 2 + noise))
    score = x[:, 0] + x[:, 1] if kind == "linear" else x[:, 0] * x[:, 1]
    return x, 40 + 7 * (score + 0.2 * random.normal(size=n)), random.integers(0, n // 4, n)


def correlation(fitted, x, y):
    return np.corrcoef(fitted.predict(x), y)[0, 1]


@every_learner
def test_a_linear_value_is_followed_in_its_own_unit(model):
    x, y, _ = table(1, n=400)
    fitted = fit_baseline(spec(model), *table(0), seed=0)
    assert correlation(fitted, x, y) > 0.9
    assert np.mean((fitted.predict(x) - y) ** 2) < 0.4 * y.var()


@pytest.mark.parametrize("model", ["svm", "forest", "gp"])
def test_an_interaction_is_solved_by_the_models_that_bend(model):
    x, y, _ = table(1, n=400, noise=0, kind="interaction")
    assert correlation(fit_baseline(spec(model), *table(0, noise=0, kind="interaction"), seed=0), x, y) > 0.6


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**16), st.floats(0.01, 100.0), st.integers(1, 30))
def test_logistic_is_ridge_regression_by_its_normal_equations(seed, alpha, features):
    random = np.random.default_rng(seed)
    x, new = random.normal(3, 5, (20, features)), random.normal(size=(6, features))
    y = random.normal(10, 4, 20)
    z = (x - x.mean(0)) / x.std(0)
    slopes = np.linalg.solve(z.T @ z + alpha * np.eye(features), z.T @ (y - y.mean()))
    fitted = fit_baseline(spec("logistic", regularisation=alpha), x, y, np.arange(20), seed=0)
    expected = y.mean() + (new - x.mean(0)) / x.std(0) @ slopes
    np.testing.assert_allclose(fitted.predict(new), expected, rtol=1e-6, atol=1e-6)
    assert fitted.parameters == features + 1


def test_the_penalty_is_worth_so_many_rows():
    """The slope of n rows on a column alone is multiplied by n / (n + alpha)."""
    x = np.random.default_rng(0).normal(size=(50, 1))
    fitted = fit_baseline(spec("logistic", regularisation=150.0), x, 8 * x[:, 0], np.arange(50), seed=0)
    assert np.diff(fitted.predict(np.array([[0.0], [1.0]])))[0] == pytest.approx(8 * 50 / 200)


def test_the_constant_model_is_the_mean():
    x, y, participant = table(0)
    fitted = fit_baseline(spec("constant"), x, y, participant, seed=0)
    np.testing.assert_array_equal(fitted.predict(x[:3]), y.mean())
    assert (fitted.parameters, fitted.selected) == (1, ())


def test_support_vectors_are_those_of_a_machine_on_standardised_values():
    x, y, participant = table(0)
    fitted = fit_baseline(spec("svm", svm_gamma=0.7, regularisation=0.5), x, y, participant, seed=0)
    machine = SVR(C=2.0, gamma=0.7 / 4, epsilon=0.1).fit(zscore(x), zscore(y))
    expected = y.mean() + y.std() * machine.predict(zscore(x))
    np.testing.assert_allclose(fitted.predict(x), expected, rtol=1e-6)


def test_a_gaussian_process_is_that_of_its_kernel_and_noise():
    """The exact posterior mean of a line in noise: near the truth within, back at the mean far away."""
    random = np.random.default_rng(0)
    x = np.sort(random.uniform(-3, 3, (80, 1)), axis=0)
    y = np.sin(2 * x[:, 0]) + 0.2 * random.normal(size=80)
    fitted = fit_baseline(spec("gp"), x, y, np.arange(80), seed=0)
    inside = np.linspace(-2.5, 2.5, 21)[:, None]
    assert np.abs(fitted.predict(inside) - np.sin(2 * inside[:, 0])).max() < 0.2
    assert fitted.predict(np.array([[1e3]]))[0] == pytest.approx(y.mean(), abs=1e-6)
    assert fitted.parameters == 3 + 80


def test_a_gaussian_process_takes_noise_for_noise():
    x, y, participant = table(0)
    shuffled = np.random.default_rng(1).permutation(y)
    assert fit_baseline(spec("gp"), x, shuffled, participant, seed=0).predict(x).std() < 0.5 * y.std()


def test_a_forest_stays_within_the_values_and_obeys_its_leaves_and_seed():
    x, y, participant = table(0)
    far = 100 * table(1)[0]
    fitted = fit_baseline(spec("forest"), x, y, participant, seed=0)
    assert fitted.predict(far).min() >= y.min()
    assert fitted.predict(far).max() <= y.max()
    whole = replace(spec("forest"), forest_trees=7, forest_leaf=100)
    assert fit_baseline(whole, x, y, participant, seed=0).parameters == 7
    other = fit_baseline(spec("forest"), x, y, participant, seed=1)
    assert not np.array_equal(fitted.predict(x), other.predict(x))


@every_model
@pytest.mark.parametrize("selection", ["none", "nca"])
def test_the_unit_and_the_zero_of_the_values_do_not_matter(model, selection):
    (x, y, participant), (new, _, _) = table(0, n=60), table(1)
    wanted = spec(model, selection=selection)
    plain = fit_baseline(wanted, x, y, participant, seed=0)
    other = fit_baseline(wanted, x, 1024 * y - 512, participant, seed=0)
    np.testing.assert_allclose((other.predict(new) + 512) / 1024, plain.predict(new), rtol=1e-3)
    assert other.selected == plain.selected


@pytest.mark.parametrize("model", ["constant", "logistic", "svm", "gp"])
def test_the_order_of_rows_does_not_matter(model):
    (x, y, participant), (new, _, _) = table(0, n=60), table(1)
    order = np.random.default_rng(0).permutation(60)
    plain = fit_baseline(spec(model), x, y, participant, seed=0)
    other = fit_baseline(spec(model), x[order], y[order], participant[order], seed=0)
    np.testing.assert_allclose(other.predict(new), plain.predict(new), rtol=1e-3)


@every_learner
def test_selection_finds_the_columns_that_matter(model):
    train, (x, y, _) = table(0, noise=40), table(1, n=400, noise=40)
    chosen = fit_baseline(spec(model, selection="nca", nca_lambda=5.0), *train, seed=0)
    assert chosen.selected == (0, 1)
    assert correlation(chosen, x, y) > 0.9


@every_learner
def test_missing_values_and_columns_without_any_are_no_obstacle(model):
    (x, y, participant), (new, _, _) = table(0), table(1)
    x[::5, 0], x[:, 2], x[:, 3], new[::3, 1] = np.nan, np.nan, 7.0, np.nan
    fitted = fit_baseline(spec(model), x, y, participant, seed=0)
    assert fitted.selected == (0, 1)
    assert np.isfinite(fitted.predict(new)).all()


@every_learner
@pytest.mark.parametrize("change", ["one value", "no column", "constant columns"])
def test_where_there_is_nothing_to_learn_the_mean_remains(model, change):
    x, y, participant = table(0, n=20)
    x = {"no column": x[:, :0], "constant columns": np.ones_like(x)}.get(change, x)
    y = np.full(20, 0.1) if change == "one value" else y
    fitted = fit_baseline(spec(model), x, y, participant, seed=0)
    np.testing.assert_allclose(fitted.predict(x), y.mean())
    assert fitted.parameters == 1


@every_model
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(model, value):
    x, y, participant = table(0)
    y[3] = value
    with pytest.raises(ModelError, match=r"a finite number a row is needed, but got .* with 1 that"):
        fit_baseline(spec(model), x, y, participant, seed=0)


def test_values_of_several_genes_are_refused():
    x, y, participant = table(0)
    with pytest.raises(ModelError, match=r"a finite number a row is needed, but got the shape \(100, 2\)"):
        fit_baseline(spec("logistic"), x, np.column_stack([y, y]), participant, seed=0)
