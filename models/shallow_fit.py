"""What shallow models of classes and of numbers share: checked rows, the pipeline before the estimator."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from models.calibration import Calibration
from models.errors import ModelError
from models.nca import NcaSelector
from models.samples import DoubleArray, IntArray
from models.spec import BaselineSpec

GP_STARTS = 5
ROUNDING = 1e-12  # a column whose values differ by less, relative to the largest, is constant

# Of features whose squared distances are means over columns (`PerFeature`): in many columns all rows are
# about 1.4 apart. Much below that a length makes every row an island and all predictions equal; far above it
# the function is a constant or a line.
GP_LENGTHS = (0.3, 1e2)


class PerFeature(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no type information
    """Makes the squared distances of rows (n, f) means over the columns.

    Columns have variance 1: `svm_gamma` is then in units of 1 / (features x variance).
    """

    def fit(self, X: DoubleArray, y: object = None) -> PerFeature:
        """Nothing to learn."""
        return self

    def transform(self, X: DoubleArray) -> DoubleArray:
        """The rows over the root of the number of columns."""
        scaled: DoubleArray = X / np.sqrt(X.shape[1])
        return scaled


@dataclass(frozen=True, eq=False)
class Fit:
    """A fitted pipeline, and the columns that it takes."""

    columns: IntArray
    pipeline: Any

    @property
    def estimator(self) -> Any:
        """What the pipeline ends in."""
        return self.pipeline[-1]

    @property
    def selected(self) -> tuple[int, ...]:
        """The columns that the estimator sees."""
        selector = self.pipeline.named_steps.get("select")
        columns = self.columns if selector is None else self.columns[selector.get_support()]
        return tuple(columns.tolist())

    def output(self, method: str, x: DoubleArray) -> DoubleArray:
        """What a method of the estimator, by its name, says of features (n, f)."""
        output: DoubleArray = getattr(self.pipeline, method)(x[:, self.columns])
        return output


@dataclass(frozen=True, eq=False)
class FittedBaseline:
    """A fitted shallow model: plain values and a scikit-learn pipeline (`models.saved_baseline` writes it).

    Attributes:
        task: "classification" or "regression".
        parameters: Number of fitted numbers of the estimator itself, without imputation, scaling and
            selection. Constant: 1. Logistic and ridge regression: coefficients and intercept. Support vector
            machine: dual coefficients, intercept, and of classes the two of its calibration. Forest: nodes of
            all trees. Gaussian process: hyperparameters of the kernel, and a coefficient a training row.
        columns: How many features there were in training.
        fit: The pipeline; None for the constant model.
        constant: What the constant model predicts.
        calibration: From margins to probabilities, of a classifier that has none of its own.
        mean, deviation: Of the targets of a regression, in their own unit; the pipeline's have 0 and 1.
    """

    task: str
    parameters: int
    columns: int
    fit: Fit | None = None
    constant: float = 0.0
    calibration: Calibration | None = None
    mean: float = 0.0
    deviation: float = 1.0

    @property
    def selected(self) -> tuple[int, ...]:
        """The columns that the model reads, ascending."""
        return () if self.fit is None else self.fit.selected

    def predict(self, x: DoubleArray) -> DoubleArray:
        """Probabilities of label 1, or in regression values, (n,) for features (n, f).

        A feature that is NaN is missing.

        Raises:
            ModelError: The features are not as many as in training, or one is infinite.
        """
        check_features(x)
        if x.shape[1] != self.columns:
            raise ModelError(
                f"features: as many columns as in training, {self.columns}, are needed, but got {x.shape[1]}"
            )
        if self.fit is None:
            return np.full(len(x), self.constant)
        if self.task == "regression":
            return self.mean + self.deviation * self.fit.output("predict", x)
        if self.calibration is None:
            return self.fit.output("predict_proba", x)[:, 1]
        return self.calibration(self.fit.output("decision_function", x))


@dataclass(frozen=True)
class Rows:
    """Training rows: features (n, f), targets (n,) and an index per participant (n,).

    Raises:
        ModelError: The lengths differ, there is no row, or a feature is infinite.
    """

    x: DoubleArray
    y: IntArray | DoubleArray
    participant: IntArray

    def __post_init__(self) -> None:
        check_features(self.x)
        lengths = len(self.x), len(self.y), len(self.participant)
        if len(set(lengths)) > 1 or not len(self.x):
            raise ModelError(
                "rows: one label and one participant a row of features are needed, but got {} rows, "
                "{} labels, {} participants".format(*lengths)
            )

    def __getitem__(self, index: IntArray) -> Rows:
        return Rows(self.x[index], self.y[index], self.participant[index])


def fit_pipeline(spec: BaselineSpec, rows: Rows, estimator: Any) -> Fit | None:
    """Imputation, scaling, selection and the estimator, fitted; None where the rows have nothing to teach."""
    columns = np.flatnonzero(varies(rows.x))
    if not len(columns) or not varies(rows.y[:, None])[0]:
        return None
    pipeline = _pipeline(spec, estimator)
    routed = {"select__participant": rows.participant} if "select" in pipeline.named_steps else {}
    with warnings.catch_warnings():
        # A kernel at a bound of its range, or a search cut short, is still the best that was found.
        warnings.simplefilter("ignore", ConvergenceWarning)
        pipeline.fit(rows.x[:, columns], rows.y, **routed)
    _forget_search(pipeline[-1])
    return Fit(columns, pipeline)


def likeliest(
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


def varies(x: DoubleArray | IntArray) -> npt.NDArray[np.bool_]:
    """Which columns (f,) hold two values that differ beyond rounding; missing ones do not count."""
    low, high = np.fmin.reduce(x, axis=0), np.fmax.reduce(x, axis=0)
    varies: npt.NDArray[np.bool_] = high - low > ROUNDING * np.maximum(np.abs(low), np.abs(high))
    return varies


def check_features(x: DoubleArray) -> None:
    """Refuse what is no table of features (n, f).

    Raises:
        ModelError: It has another number of axes, or a number is infinite.
    """
    if x.ndim != 2:
        raise ModelError(f"features: a table (rows, columns) is needed, but got the shape {x.shape}")
    wrong = int(np.isinf(x).sum())
    if wrong:
        raise ModelError(f"features: finite numbers or NaN are needed, but got {wrong} that are infinite")


def _forget_search(estimator: Any) -> None:
    """Drop the search for the kernel from a fitted Gaussian process: predictions have no use for it.

    It is a function, and the random numbers of this process.
    """
    for process in (estimator, getattr(estimator, "base_estimator_", None)):
        for name in {"optimizer", "rng", "_rng"} & set(getattr(process, "__dict__", ())):
            setattr(process, name, None)


def _pipeline(spec: BaselineSpec, estimator: Any) -> Any:
    steps = [("impute", SimpleImputer()), ("scale", StandardScaler())]
    if spec.selection == "nca":
        steps.append(("select", NcaSelector(spec.nca_lambda, spec.task)))
    if spec.model in ("svm", "gp"):
        steps.append(("per_feature", PerFeature()))
    return Pipeline([*steps, ("model", estimator)])
