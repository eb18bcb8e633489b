"""How strongly each sequence shows each hidden field."""

from __future__ import annotations

from typing import Final

import numpy as np

from data_prep.arrays import DoubleArray
from data_prep.phantom.interaction import planted_strength
from data_prep.phantom.spec import SEQUENCES, PhantomSpec

STRENGTHS: Final = {"easy": 0.8, "default": 0.4, "hard": 0.1, "none": 0.4}
"""W of the gaussian kind by signal, the summed squared weights."""

_SHARES: Final = (0.63, 0.50, 0.39, 0.35, 0.27)  # of the sequences that carry it, up to a common factor


def signal_weights(spec: PhantomSpec) -> DoubleArray:
    """What a unit of each field adds to the signal of each of `SEQUENCES`, in units of the image noise.

    Returns:
        Shape (9, fields); zeros for a texture, whose field shows in the noise alone.
    """
    weights = np.zeros((len(SEQUENCES), spec.fields))
    if spec.kind == "gaussian":
        norm = sum(share**2 for share in _SHARES)
        weights[spec.carriers, 0] = [share * (STRENGTHS[spec.signal] / norm) ** 0.5 for share in _SHARES]
    elif spec.kind == "interaction":
        weights[spec.carriers, range(spec.fields)] = planted_strength(spec) ** 0.5
    return weights
