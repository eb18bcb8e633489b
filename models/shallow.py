"""Shallow models on tables of features: scikit-learn pipelines, fitted inside the fold."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.gaussian_process.kernels import RBF, ConstantKernel
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.svm import SVC

from models.calibration import platt
from models.errors import ModelError
from models.samples import DoubleArray, IntArray
from models.shallow_fit import GP_LENGTHS, Fit, FittedBaseline, Rows, fit_pipeline, likeliest
from models.shallow_regression import fit_regression
from models.spec import BaselineSpec

__all__ = ["FittedBaseline", "fit_baseline"]

CALIBRATION_FOLDS = 5
GP_KERNEL = ConstantKernel(1.0, (1e-2, 1e2)) * RBF(1.0, GP_LENGTHS)  # log-odds deviate by 0.1 to 10


def fit_baseline(
    spec: BaselineSpec, x: DoubleArray, y: IntArray | DoubleArray, participant: IntArray, seed: int
) -> FittedBaseline:
    """Fit a shallow model to the training rows of one fold.

    Missing values become the column's mean, columns are standardised, and features selected, all by the
    training rows alone. Columns that are constant in training are not read: nothing can be learned from
    them, and a new value would be at no known distance. Where that leaves no column, or where all targets are
    the same, the model is the constant one.

    Args:
        spec: What to fit. The constant model predicts the prevalence of label 1, kept half a row away from 0
            and 1, of which a single contradicting row would be infinitely unlikely; in regression the mean.
        x: Features (n, f) in float64, f >= 0; NaN where one is missing.
        y: Labels 0 and 1, (n,); in regression any finite numbers.
        participant: An index per participant, (n,). Feature selection compares rows of different
            participants only, and calibration holds out whole participants.
        seed: Decides the forest's draws and where the search for the Gaussian process' kernel starts.

    Raises:
        ModelError: The lengths differ, there is no row, a target is none of those, or a feature is infinite.
    """
    rows = Rows(x, y, participant)
    if spec.task == "regression":
        return fit_regression(spec, rows, seed)
    if not np.isin(y, (0, 1)).all():
        raise ModelError(f"labels: 0 and 1 are needed, but got {np.unique(y).tolist()}")
    fit = None if spec.model == "constant" else _fit(spec, rows, seed)
    if fit is None:
        prevalence = float(np.clip(np.mean(y), 0.5 / len(y), 1 - 0.5 / len(y)))
        return FittedBaseline(spec.task, 1, x.shape[1], constant=prevalence)
    size = _SIZES[spec.model](fit.estimator)
    if spec.model != "svm":
        return FittedBaseline(spec.task, size, x.shape[1], fit)
    calibration = platt(_held_out_margins(spec, rows, seed), np.asarray(y, np.int64))
    return FittedBaseline(spec.task, size + 2, x.shape[1], fit, calibration=calibration)


def _fit(spec: BaselineSpec, rows: Rows, seed: int) -> Fit | None:
    return fit_pipeline(spec, rows, _estimator(spec, seed))


def _margin(fit: Fit, x: DoubleArray) -> DoubleArray:
    """Signed distances (n,) from a support vector machine's boundary, in units of its margin."""
    return fit.output("decision_function", x)


def _estimator(spec: BaselineSpec, seed: int) -> Any:
    """What is fitted in the end; one thread, since the process that fits has its share of the machine."""
    if spec.model == "logistic":
        return LogisticRegression(C=1 / spec.regularisation, tol=1e-6, max_iter=10_000)
    if spec.model == "svm":
        return SVC(C=1 / spec.regularisation, gamma=spec.svm_gamma)
    if spec.model == "forest":
        trees, leaf = spec.forest_trees, spec.forest_leaf
        return RandomForestClassifier(trees, min_samples_leaf=leaf, random_state=seed, n_jobs=1)
    return GaussianProcessClassifier(GP_KERNEL, optimizer=partial(likeliest, seed))


def _held_out_margins(spec: BaselineSpec, rows: Rows, seed: int) -> DoubleArray:
    """Margins (n,) of the rows, each from a machine that saw no row of its participant.

    Imputation, scaling and selection are fitted anew for each. A row that no such machine can judge (one
    participant only, or the others all of one label) has margin 0: undecided.
    """
    margin = np.zeros(len(rows.y))
    ones = int(rows.y.sum())
    folds = min(CALIBRATION_FOLDS, len(np.unique(rows.participant)), ones, len(rows.y) - ones)
    if folds < 2:
        return margin
    for train, held in StratifiedGroupKFold(folds).split(rows.x, rows.y, rows.participant):
        fit = _fit(spec, rows[train], seed)
        if fit is not None and len(held):
            margin[held] = _margin(fit, rows.x[held])
    return margin


_SIZES: dict[str, Callable[[Any], int]] = {
    "logistic": lambda model: model.coef_.size + model.intercept_.size,
    "svm": lambda model: model.dual_coef_.size + model.intercept_.size,
    "forest": lambda model: sum(tree.tree_.node_count for tree in model.estimators_),
    "gp": lambda model: model.kernel_.theta.size + model.base_estimator_.pi_.size,
}
