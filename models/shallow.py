"""Shallow models on tables of features: scikit-learn pipelines, fitted inside the fold."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.gaussian_process.kernels import RBF, ConstantKernel
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC

from models.calibration import platt
from models.errors import ModelError
from models.nca import NcaSelector
from models.samples import DoubleArray, IntArray
from models.spec import BaselineSpec

CALIBRATION_FOLDS = 5
GP_STARTS = 5
ROUNDING = 1e-12  # a column whose values differ by less, relative to the largest, is constant

# Of features whose squared distances are means over columns (`_per_feature`): in many columns all rows are
# about 1.4 apart. Much below that a length makes every row an island and all predictions equal; far above it
# the function is a constant or a line. Log-odds have a deviation of 0.1 to 10.
GP_KERNEL = ConstantKernel(1.0, (1e-2, 1e2)) * RBF(1.0, (0.3, 1e2))


@dataclass(frozen=True)
class FittedBaseline:
    """A fitted shallow model.

    Attributes:
        parameters: Number of fitted numbers of the estimator itself, without imputation, scaling and
            selection. Constant: 1. Logistic regression: coefficients and intercept. Support vector machine:
            dual coefficients, intercept, and the two of its calibration. Forest: nodes of all trees. Gaussian
            process: hyperparameters of the kernel, and a coefficient a training row.
        selected: The columns that the model reads, ascending.
    """

    parameters: int
    selected: tuple[int, ...]
    _columns: int = field(repr=False)
    _probability: Callable[[DoubleArray], DoubleArray] = field(repr=False)

    def predict(self, x: DoubleArray) -> DoubleArray:
        """Probabilities (n,) of label 1 for features (n, f); NaN where a feature is missing.

        Raises:
            ModelError: The features are not as many as in training, or one is infinite.
        """
        _check_features(x)
        if x.shape[1] != self._columns:
            raise ModelError(
                f"features: as many columns as in training, {self._columns}, are needed, but got {x.shape[1]}"
            )
        return self._probability(x)


def fit_baseline(
    spec: BaselineSpec, x: DoubleArray, y: IntArray, participant: IntArray, seed: int
) -> FittedBaseline:
    """Fit a shallow model to the training rows of one fold.

    Missing values become the column's mean, columns are standardised, and features selected, all by the
    training rows alone. Columns that are constant in training are not read: nothing can be learned from
    them, and a new value would be at no known distance. Where that leaves no column, or where all labels are
    the same, the model is the constant one.

    Args:
        spec: What to fit. The constant model predicts the prevalence of label 1, kept half a row away from 0
            and 1, of which a single contradicting row would be infinitely unlikely.
        x: Features (n, f) in float64, f >= 0; NaN where one is missing.
        y: Labels 0 and 1, (n,).
        participant: An index per participant, (n,). Feature selection compares rows of different
            participants only, and calibration holds out whole participants.
        seed: Decides the forest's draws and where the search for the Gaussian process' kernel starts.

    Raises:
        ModelError: The lengths differ, there is no row, a label is neither 0 nor 1, or a feature is infinite.
    """
    rows = _Rows(x, y, participant)
    fit = None if spec.model == "constant" else _fit(spec, rows, seed)
    if fit is None:
        constant = partial(_constant, float(np.clip(np.mean(y), 0.5 / len(y), 1 - 0.5 / len(y))))
        return FittedBaseline(1, (), x.shape[1], constant)
    size, selected = _SIZES[spec.model](fit.pipeline[-1]), fit.selected
    if spec.model != "svm":
        return FittedBaseline(size, selected, x.shape[1], fit.probability)
    calibration = platt(_held_out_margins(spec, rows, seed), y)
    return FittedBaseline(size + 2, selected, x.shape[1], lambda new: calibration(fit.margin(new)))


@dataclass(frozen=True)
class _Rows:
    """Training rows, checked; the arguments of `fit_baseline`."""

    x: DoubleArray
    y: IntArray
    participant: IntArray

    def __post_init__(self) -> None:
        _check_features(self.x)
        lengths = len(self.x), len(self.y), len(self.participant)
        if len(set(lengths)) > 1 or not len(self.x):
            raise ModelError(
                "rows: one label and one participant a row of features are needed, but got {} rows, "
                "{} labels, {} participants".format(*lengths)
            )
        if not np.isin(self.y, (0, 1)).all():
            raise ModelError(f"labels: 0 and 1 are needed, but got {np.unique(self.y).tolist()}")

    def __getitem__(self, index: IntArray) -> _Rows:
        return _Rows(self.x[index], self.y[index], self.participant[index])


@dataclass(frozen=True)
class _Fit:
    """A fitted pipeline, and the columns that it takes."""

    columns: IntArray
    pipeline: Any

    @property
    def selected(self) -> tuple[int, ...]:
        """The columns that the estimator sees."""
        selector = self.pipeline.named_steps.get("select")
        columns = self.columns if selector is None else self.columns[selector.get_support()]
        return tuple(columns.tolist())

    def probability(self, x: DoubleArray) -> DoubleArray:
        """Probabilities (n,) of label 1."""
        chance: DoubleArray = self.pipeline.predict_proba(x[:, self.columns])[:, 1]
        return chance

    def margin(self, x: DoubleArray) -> DoubleArray:
        """Signed distances (n,) from a support vector machine's boundary, in units of its margin."""
        margin: DoubleArray = self.pipeline.decision_function(x[:, self.columns])
        return margin


def _fit(spec: BaselineSpec, rows: _Rows, seed: int) -> _Fit | None:
    """The pipeline fitted to the rows; None where they have nothing to teach."""
    columns = np.flatnonzero(_varies(rows.x))
    if not len(columns) or len(np.unique(rows.y)) == 1:
        return None
    pipeline = _pipeline(spec, seed)
    routed = {"select__participant": rows.participant} if "select" in pipeline.named_steps else {}
    with warnings.catch_warnings():
        # A kernel at a bound of its range, or a search cut short, is still the best that was found.
        warnings.simplefilter("ignore", ConvergenceWarning)
        pipeline.fit(rows.x[:, columns], rows.y, **routed)
    return _Fit(columns, pipeline)


def _pipeline(spec: BaselineSpec, seed: int) -> Any:
    steps = [("impute", SimpleImputer()), ("scale", StandardScaler())]
    if spec.selection == "nca":
        steps.append(("select", NcaSelector(spec.nca_lambda)))
    if spec.model in ("svm", "gp"):
        steps.append(("per_feature", FunctionTransformer(_per_feature)))
    return Pipeline([*steps, ("model", _estimator(spec, seed))])


def _estimator(spec: BaselineSpec, seed: int) -> Any:
    """What is fitted in the end; one thread, since the process that fits has its share of the machine."""
    if spec.model == "logistic":
        return LogisticRegression(C=1 / spec.regularisation, tol=1e-6, max_iter=10_000)
    if spec.model == "svm":
        return SVC(C=1 / spec.regularisation, gamma=spec.svm_gamma)
    if spec.model == "forest":
        trees, leaf = spec.forest_trees, spec.forest_leaf
        return RandomForestClassifier(trees, min_samples_leaf=leaf, random_state=seed, n_jobs=1)
    return GaussianProcessClassifier(GP_KERNEL, optimizer=partial(_likeliest, seed))


def _likeliest(
    seed: int,
    loss: Callable[[DoubleArray], tuple[float, DoubleArray]],
    start: DoubleArray,
    bounds: npt.NDArray[np.float64],
) -> tuple[DoubleArray, float]:
    """The hyperparameters (their logarithms) of the greatest marginal likelihood, from several starts.

    scikit-learn's own restarts for classifiers take the exponential of a start once too often, so that all
    begin above 1 and many at the upper bound (1.9.1, `_gpc.py`).
    """
    random = np.random.default_rng(seed)
    starts = [start, *random.uniform(bounds[:, 0], bounds[:, 1], size=(GP_STARTS - 1, len(start)))]
    ends = [minimize(loss, each, jac=True, method="L-BFGS-B", bounds=bounds) for each in starts]
    best = min(ends, key=lambda end: float(end.fun))
    return best.x, float(best.fun)


def _held_out_margins(spec: BaselineSpec, rows: _Rows, seed: int) -> DoubleArray:
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
            margin[held] = fit.margin(rows.x[held])
    return margin


def _per_feature(x: DoubleArray) -> DoubleArray:
    """Rows (n, f) whose squared distances are means over the columns.

    Columns have variance 1: `svm_gamma` is then in units of 1 / (features x variance).
    """
    scaled: DoubleArray = x / np.sqrt(x.shape[1])
    return scaled


def _varies(x: DoubleArray) -> npt.NDArray[np.bool_]:
    """Which columns (f,) hold two values that differ beyond rounding; missing ones do not count."""
    low, high = np.fmin.reduce(x, axis=0), np.fmax.reduce(x, axis=0)
    varies: npt.NDArray[np.bool_] = high - low > ROUNDING * np.maximum(np.abs(low), np.abs(high))
    return varies


def _constant(value: float, x: DoubleArray) -> DoubleArray:
    return np.full(len(x), value)


def _check_features(x: DoubleArray) -> None:
    if x.ndim != 2:
        raise ModelError(f"features: a table (rows, columns) is needed, but got the shape {x.shape}")
    wrong = int(np.isinf(x).sum())
    if wrong:
        raise ModelError(f"features: finite numbers or NaN are needed, but got {wrong} that are infinite")


_SIZES: dict[str, Callable[[Any], int]] = {
    "logistic": lambda model: model.coef_.size + model.intercept_.size,
    "svm": lambda model: model.dual_coef_.size + model.intercept_.size,
    "forest": lambda model: sum(tree.tree_.node_count for tree in model.estimators_),
    "gp": lambda model: model.kernel_.theta.size + model.base_estimator_.pi_.size,
}
