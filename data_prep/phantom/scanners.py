"""What a scanner does to its images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from data_prep.arrays import DoubleArray
from data_prep.phantom.spec import SEQUENCES, PhantomSpec
from data_prep.phantom.streams import stream

SCANNERS: Final = {"scanner-a": 0.0, "scanner-b": 0.3, "scanner-c": 0.45}
"""Each scanner's smoothing, a standard deviation in mm."""

_FOURTH: Final = ("scanner-d", 0.15)  # of a confounded phantom, so that two scanners make each half
DIFFUSION: Final = ("FA", "MD")
NO_DIFFUSION: Final = "scanner-c"
"""The scanner that measures no diffusion where sequences are missing by scanner."""

LEVEL: Final = 1.0
"""How far a confounded phantom's signal in the tumour moves with the half of the scanners, in noise units."""

_GAIN_SD: Final = 0.2  # of the logarithm
_OFFSET: Final = 3.0  # the largest, in units of the image noise


@dataclass(frozen=True)
class Scanner:
    """One scanner; arrays of shape (9,), one value per sequence.

    Attributes:
        name: Of the scanner.
        gain: G, a factor.
        offset: B, the intensity of air, in units of the image noise.
        blur: Standard deviation of its smoothing in mm.
        half: 1 or -1 by the half of the scanners of a confounded phantom; else 0.
        lacks: Indices of the sequences that it does not measure.
    """

    name: str
    gain: DoubleArray
    offset: DoubleArray
    blur: float
    half: int = 0
    lacks: tuple[int, ...] = ()


def draw_scanners(spec: PhantomSpec) -> tuple[Scanner, ...]:
    """Draw the scanners of a phantom, one for each of `SCANNERS`; a confounded one has a fourth."""
    rng, factor = stream(spec.seed, "scanner"), spec.scanner_shift
    blurs = dict([*SCANNERS.items(), *([_FOURTH] if spec.confounding else [])])
    shape = (len(blurs), len(SEQUENCES))
    gains = np.exp(_GAIN_SD * factor * rng.standard_normal(shape))
    offsets = rng.uniform(0, _OFFSET * factor, size=shape)
    lacking = tuple(SEQUENCES.index(name) for name in DIFFUSION) if spec.missing_by == "scanner" else ()
    return tuple(
        Scanner(
            name=name,
            gain=gains[index],
            offset=offsets[index],
            blur=blur * min(1.0, factor),
            half=(1 if index < 2 else -1) if spec.confounding else 0,
            lacks=lacking if name == NO_DIFFUSION else (),
        )
        for index, (name, blur) in enumerate(blurs.items())
    )
