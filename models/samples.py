"""Patches with their targets, as a training takes them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.errors import ModelError

FloatArray = npt.NDArray[np.float32]
DoubleArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Samples:
    """Patches and their targets.

    Attributes:
        x: Patches (n, h, w, channels), float32.
        y: Labels 0 and 1, or the values of a regression, float32: (n,) of one target, (n, k) of k targets
            with NaN where one is not known.

    Raises:
        ModelError: The two differ in length, there is none, a row has no known target, or another number is
            not finite.
    """

    x: FloatArray
    y: FloatArray

    def __post_init__(self) -> None:
        if len(self.x) != len(self.y) or not len(self.x):
            raise ModelError(
                f"samples: one label a patch is needed, but got {len(self.x)} patches, {len(self.y)} labels"
            )
        if self.y.ndim not in (1, 2):
            raise ModelError(f"samples: targets (n,) or (n, k) are needed, but got the shape {self.y.shape}")
        check_finite(self.x)
        check_finite(self.y if self.y.ndim == 1 else self.y[~np.isnan(self.y)])
        unknown = int((self.known == 0).sum())
        if unknown:
            raise ModelError(
                f"samples: every row needs a target that is known, but {unknown} of {len(self.y)} have none"
            )

    @property
    def known(self) -> IntArray:
        """How many targets of each row are known, (n,)."""
        known: IntArray = (~np.isnan(self.y)).reshape(len(self.y), -1).sum(axis=1, dtype=np.int64)
        return known


def check_finite(values: FloatArray) -> None:
    """Refuse NaN and infinity: a network may turn them into a plausible probability.

    Raises:
        ModelError: A value is not finite.
    """
    wrong = values.size - np.count_nonzero(np.isfinite(values))
    if wrong:
        raise ModelError(f"samples: finite numbers are needed, but got {wrong} that are NaN or infinite")


def smoothed(labels: FloatArray, smoothing: float) -> FloatArray:
    """Labels moved towards one half: y (1 - s) + s / 2; those that are not known stay so.

    >>> smoothed(np.array([0, 1], np.float32), 0.5)
    array([0.25, 0.75], dtype=float32)
    """
    return labels * np.float32(1 - smoothing) + np.float32(smoothing / 2)


def batch_cuts(count: int, size: int) -> IntArray:
    """Where the batches of so many rows begin, and the end of the last: shape (batches + 1,).

    A single row left over joins the batch before it, since batch normalisation learns nothing from one
    sample. Batches of one are made only where `size` is one.

    >>> batch_cuts(10, 3), batch_cuts(5, 9)
    (array([ 0,  3,  6, 10]), array([0, 5]))
    """
    cuts = list(range(0, count, size))
    if size > 1 and len(cuts) > 1 and count - cuts[-1] == 1:
        cuts.pop()
    return np.array([*cuts, count], dtype=np.int64)
