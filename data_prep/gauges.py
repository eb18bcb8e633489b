"""What is gathered of an image's intensities as they pass by, and the scale that comes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from data_prep.arrays import FloatArray
from data_prep.histogram_matching import landmarks
from data_prep.intensity import Scale
from data_prep.moments import Moments
from data_prep.percentiles import robust
from data_prep.white_matter import white_matter


class Gauge(Protocol):
    """Takes in the intensities that count, part by part."""

    def add(self, values: npt.NDArray[Any]) -> None:
        """Take in values, shape (n,)."""

    def scale(self) -> Scale:
        """Of all values so far; spread 0 where they do not vary."""


class _ZScore(Moments):
    """Mean and standard deviation."""

    def scale(self) -> Scale:
        return Scale(self.mean, self.std)


def _zscore(values: FloatArray) -> Scale:
    moments = _ZScore()
    moments.add(values)
    return moments.scale()


class _Sample:
    """Keeps every value, as percentiles need them all: 4 bytes a voxel of the brain."""

    def __init__(self, *measures: Callable[[FloatArray], Scale]) -> None:
        self._measures = measures
        self._parts: list[FloatArray] = []

    def add(self, values: npt.NDArray[Any]) -> None:
        self._parts.append(np.asarray(values, dtype=np.float32))

    def scale(self) -> Scale:
        """By the first measure by which the values vary, else by the last."""
        values = np.concatenate([np.zeros(0, dtype=np.float32), *self._parts])
        self._parts = [values]
        scale = Scale(spread=0.0)
        for measure in self._measures:
            scale = measure(values)
            if varies(scale):
                break
        return scale


def varies(scale: Scale) -> bool:
    """Whether intensities can be divided by its spread, which is kept in single precision."""
    return bool(np.float32(scale.spread) > 0)


_GAUGES: Final[dict[str, Callable[[], Gauge]]] = {
    "zscore": _ZScore,
    # Where most voxels are equal, percentiles see no spread that is there all the same.
    "robust": lambda: _Sample(robust, _zscore),
    "white-matter": lambda: _Sample(white_matter, _zscore),
    "nyul": lambda: _Sample(landmarks),
}


def gauge_of(method: str) -> Gauge:
    """A new gauge for a method of `intensity.METHODS` other than "none"."""
    return _GAUGES[method]()
