"""Feature selection by neighbourhood component analysis, which no installed library has."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from sklearn.base import BaseEstimator
from sklearn.feature_selection import SelectorMixin
from sklearn.utils import check_X_y

from models.samples import DoubleArray, IntArray

# Features are standardised and sigma is 1: a weight of 0.02 moves the distance of two rows by 0.0004 standard
# deviations. MATLAB's guide to the same methods, fscnca and fsrnca, keeps weights above 0.02 max(1, largest)
# as well.
TOLERANCE = 0.02


class NcaObjective:
    """What neighbourhood component analysis maximises, and its gradient.

    Every row i draws another row j with probability `p_ij` proportional to
    `exp(-sum_l w_l^2 |x_il - x_jl| / sigma)` and takes over its label; `p_i` is the probability that this
    label is right. The objective is `sum_i p_i - lam sum_l w_l^2`. A row never draws itself nor a row of its
    own participant (`p_ij = 0`), so that what marks a participant is of no use; a row that is left with
    nobody to draw has `p_i = 0`.

    In regression a row takes over a value in place of a label, and `p_i` becomes the expected loss with its
    sign turned: `-sum_j p_ij |y_i - y_j|`.

    Args:
        x: Standardised features (n, f), finite.
        y: Labels (n,); in regression values, standardised so that `lam` has the same unit in every cohort.
        participant: An index per participant, (n,).
        lam: Penalty on the squared weights. Divided by n it is the lambda of a mean over rows, as in fscnca.
        sigma: Width of the kernel.
        task: "classification" or "regression".

    References:
        Yang, Wang and Zuo 2012, "Neighborhood component feature selection for high-dimensional data",
        Journal of Computers 7(1), equations 3 to 7; for regression MATLAB's guide to fsrnca, whose default
        loss this is. The participants are our addition.
    """

    def __init__(
        self,
        x: DoubleArray,
        y: IntArray | DoubleArray,
        participant: IntArray,
        lam: float,
        sigma: float = 1.0,
        task: str = "classification",
    ) -> None:
        i, j = np.triu_indices(len(x), 1)
        other = participant[i] != participant[j]
        self._pair = i[other], j[other]
        self._apart = x[self._pair[0]]
        self._apart -= x[self._pair[1]]
        np.abs(self._apart, out=self._apart)  # (pairs, f): in place, since it is by far the largest array
        self._alike = _AGREEMENTS[task](y)
        self._lam, self._sigma = lam, sigma

    def __call__(self, w: DoubleArray) -> tuple[float, DoubleArray]:
        """The objective at weights (f,), and its gradient (f,)."""
        i, j = self._pair
        p = self._drawn(self._apart @ w**2 / self._sigma)
        right = (p * self._alike).sum(axis=1, keepdims=True)
        by_distance = p * (right - self._alike) / self._sigma
        gain = (by_distance[i, j] + by_distance[j, i]) @ self._apart
        return float(right.sum() - self._lam * (w**2).sum()), 2 * w * (gain - self._lam)

    def _drawn(self, distance: DoubleArray) -> DoubleArray:
        """`p_ij` (n, n) from the distances of the pairs."""
        i, j = self._pair
        far = np.full(self._alike.shape, np.inf)
        far[i, j] = far[j, i] = distance
        nearest = far.min(axis=1, keepdims=True)
        share = np.exp(np.where(np.isinf(nearest), 0.0, nearest) - far)
        # The nearest row's share is 1, so that a sum below 1 is that of a row with nobody to draw.
        drawn: DoubleArray = share / np.maximum(share.sum(axis=1, keepdims=True), 1.0)
        return drawn


def _same(y: IntArray | DoubleArray) -> DoubleArray:
    """What row i gains if it takes over row j's label, (n, n)."""
    same: DoubleArray = (y[:, None] == y).astype(np.float64)
    return same


def _near(y: IntArray | DoubleArray) -> DoubleArray:
    """The same for values: nothing, less their distance."""
    near: DoubleArray = -np.abs(y[:, None] - y).astype(np.float64)
    return near


_AGREEMENTS: dict[str, Callable[[IntArray | DoubleArray], DoubleArray]] = {
    "classification": _same,
    "regression": _near,
}


def nca_weights(
    x: DoubleArray,
    y: IntArray | DoubleArray,
    participant: IntArray,
    lam: float,
    sigma: float = 1.0,
    task: str = "classification",
) -> DoubleArray:
    """Weights (f,) >= 0 of the features, at a local maximum of `NcaObjective` found by L-BFGS from ones.

    Deterministic. A search that ends at its limit of iterations gives the weights it has reached.
    """
    return _maximum(NcaObjective(x, y, participant, lam, sigma, task), x.shape[1])


def _maximum(objective: NcaObjective, features: int) -> DoubleArray:
    def loss(w: DoubleArray) -> tuple[float, DoubleArray]:
        value, gradient = objective(w)
        return -value, -gradient

    found = minimize(loss, np.ones(features), jac=True, method="L-BFGS-B")
    weights: DoubleArray = np.abs(found.x)  # the objective knows only their squares
    return weights


class NcaSelector(SelectorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no type information
    """Keeps the features whose weight exceeds `TOLERANCE * max(1, largest weight)`.

    Where the penalty has put every feature out, the one is kept whose weight would raise the objective most.
    In a pipeline the participants come as `pipeline.fit(x, y, <step>__participant=...)`.

    Attributes:
        weights_: From `nca_weights`, shape (f,).
    """

    def __init__(self, lam: float = 1.0, task: str = "classification") -> None:
        self.lam, self.task = lam, task

    def fit(self, X: DoubleArray, y: IntArray | DoubleArray, participant: IntArray) -> NcaSelector:
        """Find the weights of standardised features (n, f) for targets (n,) and participants (n,)."""
        X, y = check_X_y(X, y)
        objective = NcaObjective(X, y, participant, self.lam, task=self.task)
        self.n_features_in_ = X.shape[1]
        self.weights_ = _maximum(objective, X.shape[1])
        largest = float(self.weights_.max())
        self._kept: npt.NDArray[np.bool_] = self.weights_ > TOLERANCE * max(1.0, largest)
        if largest <= TOLERANCE:
            # Weights that shrink to nothing end in no order; near zero the gradient still has one.
            _, gradient = objective(np.full(X.shape[1], TOLERANCE / X.shape[1]))
            self._kept[np.argmax(gradient)] = True
        return self

    def _get_support_mask(self) -> npt.NDArray[np.bool_]:
        return self._kept
