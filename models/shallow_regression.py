"""The shallow models for numbers in place of classes: log TPM, signature scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.linear_model import Ridge
from sklearn.svm import SVR

from models.errors import ModelError
from models.shallow_fit import GP_LENGTHS, FittedBaseline, Rows, fit_pipeline, likeliest
from models.spec import BaselineSpec

# Targets have variance 1, of which signal and noise share: neither can be more than a few times that.
GP_KERNEL = ConstantKernel(1.0, (1e-3, 1e1)) * RBF(1.0, GP_LENGTHS) + WhiteKernel(0.5, (1e-3, 1e1))

# Columns that a split of a tree may choose from. Hastie, Tibshirani and Friedman 2009, "The Elements of
# Statistical Learning", section 15.3: a third in regression.
FOREST_COLUMNS = 1 / 3


def fit_regression(spec: BaselineSpec, rows: Rows, seed: int) -> FittedBaseline:
    """Fit a shallow model to the training rows of one fold, as `models.shallow.fit_baseline` does.

    Targets are standardised by the training rows as well, and predictions are given in their own units, so
    that no setting depends on these.

    Args:
        spec: What to fit. "constant" predicts the mean. "logistic" is ridge regression with
            `regularisation` as its alpha: rows of zeros that the penalty is worth, so that the slope of n
            rows on a standardised column alone is multiplied by n / (n + alpha). "svm" is support vector
            regression, with errors below a tenth of the targets' standard deviation free. "forest" tries a
            third of the columns at each split. "gp" is a Gaussian process with a white-noise term; kernel and
            noise are the likeliest.
        rows: Features, targets and participants.
        seed: Decides the forest's draws and where the search for the Gaussian process' kernel starts.

    Raises:
        ModelError: A target is not a finite number.
    """
    target = np.asarray(rows.y, np.float64)
    wrong = int((~np.isfinite(target)).sum())
    if wrong or target.ndim != 1:
        raise ModelError(
            f"targets: a finite number a row is needed, but got the shape {target.shape} with {wrong} that "
            f"are NaN or infinite"
        )
    mean, deviation = float(target.mean()), float(target.std())
    fit = None
    if spec.model != "constant" and deviation:
        standardised = replace(rows, y=(target - mean) / deviation)
        fit = fit_pipeline(spec, standardised, _estimator(spec, seed))
    if fit is None:
        return FittedBaseline(spec.task, 1, rows.x.shape[1], constant=mean)
    size = _SIZES[spec.model](fit.estimator)
    return FittedBaseline(spec.task, size, rows.x.shape[1], fit, mean=mean, deviation=deviation)


def _estimator(spec: BaselineSpec, seed: int) -> Any:
    """What is fitted in the end; one thread, since the process that fits has its share of the machine."""
    if spec.model == "logistic":
        return Ridge(spec.regularisation, solver="svd")  # exact where columns depend on each other
    if spec.model == "svm":
        return SVR(C=1 / spec.regularisation, gamma=spec.svm_gamma, epsilon=0.1)
    if spec.model == "forest":
        trees, leaf = spec.forest_trees, spec.forest_leaf
        return RandomForestRegressor(
            trees, min_samples_leaf=leaf, max_features=FOREST_COLUMNS, random_state=seed, n_jobs=1
        )
    return GaussianProcessRegressor(GP_KERNEL, optimizer=partial(likeliest, seed))


_SIZES: dict[str, Callable[[Any], int]] = {
    "logistic": lambda model: model.coef_.size + 1,
    "svm": lambda model: model.dual_coef_.size + model.intercept_.size,
    "forest": lambda model: sum(tree.tree_.node_count for tree in model.estimators_),
    "gp": lambda model: model.kernel_.theta.size + model.alpha_.size,
}
