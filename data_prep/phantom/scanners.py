"""What a scanner does to its images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from data_prep.arrays import DoubleArray
from data_prep.phantom.spec import SEQUENCES
from data_prep.phantom.streams import stream

SCANNERS: Final = {"scanner-a": 0.0, "scanner-b": 0.3, "scanner-c": 0.45}
"""Each scanner's smoothing, a standard deviation in mm."""

_GAIN_SD: Final = 0.2  # of the logarithm
_OFFSET: Final = 3.0  # the largest, in units of the image noise


@dataclass(frozen=True)
class Scanner:
    """One scanner; arrays of shape (9,), one value per sequence.

    Attributes:
        name: A name of `SCANNERS`.
        gain: G, a factor.
        offset: B, the intensity of air, in units of the image noise.
        blur: Standard deviation of its smoothing in mm.
    """

    name: str
    gain: DoubleArray
    offset: DoubleArray
    blur: float


def draw_scanners(seed: int) -> tuple[Scanner, ...]:
    """Draw the scanners of a phantom, one for each of `SCANNERS`."""
    rng = stream(seed, "scanner")
    shape = (len(SCANNERS), len(SEQUENCES))
    gains, offsets = np.exp(_GAIN_SD * rng.standard_normal(shape)), rng.uniform(0, _OFFSET, size=shape)
    return tuple(
        Scanner(name, gain, offset, blur)
        for (name, blur), gain, offset in zip(SCANNERS.items(), gains, offsets, strict=True)
    )
