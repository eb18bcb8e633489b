from dataclasses import replace

import numpy as np
import pytest
from sklearn.pipeline import Pipeline

from models.errors import ModelError
from models.shallow import fit_baseline
from models.shallow_fit import Fit, FittedBaseline
from models.soundness import check_sound
from models.spec import MODELS, TASKS, BaselineSpec


def fitted(model, task="classification"):
    random = np.random.default_rng(0)
    x = random.normal(size=(40, 3))
    y = x[:, 0] if task == "regression" else (x[:, 0] > 0).astype(np.int64)
    return fit_baseline(BaselineSpec(model, forest_trees=3, task=task), x, y, np.arange(40) // 3, seed=0)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("task", TASKS)
def test_what_was_fitted_is_sound(model, task):
    check_sound(fitted(model, task))


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    ("field", "value"),
    [("left_child", 10**6), ("right_child", 0), ("left_child", -1), ("feature", 3), ("feature", -5)],
)
def test_a_tree_whose_indices_lead_out_of_it_or_back_is_refused(field, value, task):
    model = fitted("forest", task)
    tree = model.fit.estimator.estimators_[1].tree_
    state = tree.__getstate__()
    assert state["nodes"]["left_child"][0] > 0
    state["nodes"][field][0] = value
    tree.__setstate__(state)
    with pytest.raises(ModelError, match="whose indices lie within its arrays"):
        check_sound(model)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("_n_support", lambda counts: counts * 100),
        ("support_", lambda rows: rows[1:]),
        ("_dual_coef_", lambda weights: weights[:, 1:]),
        ("_intercept_", lambda intercept: intercept[:0]),
        ("support_vectors_", lambda vectors: np.ascontiguousarray(vectors[:, :2])),
        ("shape_fit_", lambda shape: (shape[0], 99)),
        ("support_", lambda rows: rows + np.int32(2**30)),
        ("support_", lambda rows: rows - np.int32(2**30)),
        ("kernel", lambda _: "precomputed"),
        ("kernel", lambda _: "poly"),
        ("_sparse", lambda _: True),
        ("_probA", lambda _: np.ones(1)),
    ],
)
def test_a_support_vector_machine_whose_counts_do_not_fit_is_refused(name, change, task):
    model = fitted("svm", task)
    setattr(model.fit.estimator, name, change(getattr(model.fit.estimator, name)))
    with pytest.raises(ModelError, match="whose indices lie within its arrays"):
        check_sound(model)


def test_other_steps_columns_and_tasks_are_refused():
    model = fitted("logistic")
    steps = [(f"my_{name}", step) for name, step in model.fit.pipeline.steps]
    with pytest.raises(ModelError, match="a pipeline of impute"):
        check_sound(replace(model, fit=Fit(model.fit.columns, Pipeline(steps))))
    with pytest.raises(ModelError, match="columns from 0 to 1"):
        check_sound(replace(model, columns=2))
    with pytest.raises(ModelError, match="a task of classification, regression"):
        check_sound(replace(model, task="ranking"))


def test_a_model_that_predicts_no_numbers_is_refused():
    with pytest.raises(ModelError, match="a finite number a row"):
        check_sound(FittedBaseline("classification", 1, 2, constant=float("nan")))


@pytest.mark.parametrize("task", TASKS)
def test_parts_that_shadow_their_class_are_refused(task):
    machine, forest = fitted("svm", task), fitted("forest", task)
    machine.fit.estimator._impl = "one_class"
    forest.fit.estimator.estimators_[0].predict = list
    for model in (machine, forest):
        with pytest.raises(ModelError, match="keep the methods of their class"):
            check_sound(model)


def test_another_class_in_the_place_of_a_part_is_refused():
    """Inside a pipeline, or a Gaussian process, nobody would look at the nodes of its trees."""
    forest, process = fitted("forest"), fitted("gp")
    inner = Pipeline([("model", forest.fit.estimator)])
    with pytest.raises(ModelError, match="a pipeline of impute"):
        check_sound(replace(forest, fit=Fit(forest.fit.columns, Pipeline([("model", inner)]))))
    process.fit.estimator.base_estimator_ = forest.fit.estimator
    with pytest.raises(ModelError, match="whose indices lie within"):
        check_sound(process)
    forest.fit.estimator.estimators_[0] = Pipeline([("model", forest.fit.estimator.estimators_[0])])
    with pytest.raises(ModelError, match="whose indices lie within"):
        check_sound(forest)
