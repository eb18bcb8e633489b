"""Whether a shallow model that was read predicts at all, and without reading past the end of an array.

scikit-learn follows the indices of a tree, and libsvm the counts and rows of a support vector machine,
unchecked: in a file that was made for it, they would lead out of the arrays (scikit-learn, pull request
34558). So every part must be of the very class that is looked at here, and keep that class's own methods.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.gaussian_process._gpc import _BinaryGaussianProcessClassifierLaplace
from sklearn.gaussian_process.kernels import Kernel
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from sklearn.tree._tree import Tree

from models.errors import ModelError
from models.nca import NcaSelector
from models.shallow_fit import Fit, FittedBaseline, PerFeature
from models.spec import TASKS


def check_sound(model: FittedBaseline) -> None:
    """Refuse a model whose parts do not fit together.

    Raises:
        ModelError: They do not.
        Exception: It cannot even be looked at, or does not predict; of any kind.
    """
    if model.task not in TASKS:
        raise ModelError(f"a task of {', '.join(TASKS)} is needed, but got '{model.task}'")
    if model.fit is not None:
        _check_fit(model.fit, model.columns)
    said = model.predict(np.zeros((2, model.columns)))
    if said.shape != (2,) or not np.isfinite(said).all():
        raise ModelError("a model that predicts a finite number a row is needed")


def _check_fit(fit: Fit, columns: int) -> None:
    steps = fit.pipeline.steps
    if type(fit.pipeline) is not Pipeline or not _are_steps(steps):
        got = ", ".join(f"{name} {type(step).__name__}" for name, step in steps)
        raise ModelError(f"a pipeline of {', '.join(_STEPS)} as fitted here is needed, but got {got}")
    if len(fit.columns) and not (fit.columns.min() >= 0 and fit.columns.max() < columns):
        raise ModelError(f"columns from 0 to {columns - 1} are needed")
    if any(vars(part).keys() & set(dir(type(part))) for part in _parts(fit)):
        raise ModelError("parts that keep the methods of their class are needed")
    check = _CHECKS.get(type(fit.estimator))
    if check is not None and not check(fit.estimator, len(fit.selected)):
        raise ModelError(f"a {type(fit.estimator).__name__} whose indices lie within its arrays is needed")


def _are_steps(steps: list[tuple[str, Any]]) -> bool:
    """Whether they end with a model, and are of the classes that their names have here."""
    is_ours = all(type(step) in _STEPS.get(name, ()) for name, step in steps)
    return is_ours and [name for name, _ in steps].count("model") == 1 and steps[-1][0] == "model"


def _parts(fit: Fit) -> Iterator[Any]:
    """The pipeline, its steps, and the models inside the last."""
    yield fit.pipeline
    yield from (step for _, step in fit.pipeline.steps)
    yield from vars(fit.estimator).get("estimators_", ())
    if isinstance(fit.estimator, GaussianProcessClassifier):
        yield fit.estimator.base_estimator_


def _is_forest_sound(forest: Any, width: int) -> bool:
    kind = _TREES[type(forest)]
    return (
        forest.n_features_in_ == width
        and forest.n_jobs == 1
        and all(
            type(tree) is kind and tree.n_features_in_ == width and _is_tree_sound(tree.tree_, width)
            for tree in forest.estimators_
        )
    )


def _is_tree_sound(tree: Any, width: int) -> bool:
    """Every node is a leaf, or splits a column that there is into two nodes further on.

    That its arrays have as many nodes as it says, `Tree` sees to itself.
    """
    if type(tree) is not Tree:
        return False
    left, right, number = tree.children_left, tree.children_right, np.arange(tree.node_count)
    is_leaf = (left == -1) & (right == -1)
    children = np.minimum(left, right) > number, np.maximum(left, right) < tree.node_count
    splits = children[0] & children[1] & (tree.feature >= 0) & (tree.feature < width)
    return bool(tree.node_count > 0 and tree.n_features == width and (is_leaf | splits).all())


def _is_machine_sound(machine: Any, width: int) -> bool:
    """Libsvm is told the counts, and with another kernel reads columns of a row by `support_`."""
    vectors, support = machine.support_vectors_, machine.support_
    rows = len(vectors)
    shapes = (
        vectors.shape == (rows, width),
        support.shape == (rows,),
        machine._dual_coef_.shape == (1, rows),
        machine._intercept_.shape == (1,),
        machine._n_support.shape == (2,),
        machine._probA.shape == machine._probB.shape == (0,),
    )
    counts = machine.n_support_  # of each class; of a regression all of them
    return (
        (machine.kernel, machine._sparse) == ("rbf", False)
        and all(shapes)
        and bool((counts >= 0).all())
        and int(counts.sum()) == rows
        and machine.n_features_in_ == machine.shape_fit_[1] == width
        and bool(((support >= 0) & (support < machine.shape_fit_[0])).all())
    )


def _is_process_sound(process: Any, _: int) -> bool:
    """What a Gaussian process computes checks its shapes; only that nothing else stands in its place."""
    if isinstance(process, GaussianProcessClassifier):
        process = process.base_estimator_
        if type(process) is not _BinaryGaussianProcessClassifierLaplace:
            return False
    return isinstance(process.kernel_, Kernel)


_TREES = {
    RandomForestClassifier: DecisionTreeClassifier,
    RandomForestRegressor: DecisionTreeRegressor,
}
_CHECKS: dict[type, Callable[[Any, int], bool]] = {
    RandomForestClassifier: _is_forest_sound,
    RandomForestRegressor: _is_forest_sound,
    SVC: _is_machine_sound,
    SVR: _is_machine_sound,
    GaussianProcessClassifier: _is_process_sound,
    GaussianProcessRegressor: _is_process_sound,
}
_STEPS: dict[str, tuple[type, ...]] = {
    "impute": (SimpleImputer,),
    "scale": (StandardScaler,),
    "select": (NcaSelector,),
    "per_feature": (PerFeature,),
    "model": (LogisticRegression, Ridge, *_CHECKS),
}
