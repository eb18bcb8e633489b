"""Mean and standard deviation of values that come in parts."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

# Values that are looked at together: as float64 they fit a core's second-level cache.
_PIECE = 2**15


class Moments:
    """Mean and population standard deviation in float64; exactly (value, 0) for constant values.

    >>> moments = Moments()
    >>> moments.add(np.array([1, 2]))
    >>> moments.add(np.array([3, 6]))
    >>> moments.mean, moments.std**2
    (3.0, 3.5)

    References:
        Chan, Golub, LeVeque 1983, "Algorithms for computing the sample variance".
    """

    def __init__(self) -> None:
        self._count = 0
        # Values are taken relative to the first one, so that those of a constant image are exactly zero.
        self._origin = 0.0
        self._mean = 0.0
        self._squares = 0.0

    def add(self, values: npt.NDArray[Any]) -> None:
        """Take in values, shape (n,), finite."""
        # A volume with values that are not finite is refused in the end, by whoever reads it.
        with np.errstate(invalid="ignore", over="ignore"):
            for start in range(0, len(values), _PIECE):
                self._add(values[start : start + _PIECE])

    def _add(self, piece: npt.NDArray[Any]) -> None:
        if not self._count:
            self._origin = float(piece[0])
        values = piece.astype(np.float64)
        values -= self._origin
        mean = float(values.mean())
        values -= mean
        squares = float(np.square(values, out=values).sum())
        total = self._count + len(values)
        shift = mean - self._mean
        self._squares += squares + shift**2 * self._count * len(values) / total
        self._mean += shift * len(values) / total
        self._count = total

    @property
    def mean(self) -> float:
        """Mean of all values, 0 where there was none."""
        return self._origin + self._mean

    @property
    def std(self) -> float:
        """Population standard deviation of all values, 0 where there was none."""
        return float(np.sqrt(self._squares / self._count)) if self._count else 0.0
