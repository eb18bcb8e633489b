"""Random numbers by name, so that one part of a phantom never shifts the numbers of another."""

from __future__ import annotations

from typing import Final

import numpy as np

STREAMS: Final = (
    "layout", "head", "tumour", "sites", "field", "null", "expression",
    "eta", "offset", "nugget", "bias", "scanner", "affine", "shift", "patch",
    "field_b", "null_b", "grain", "level",
    "orientation", "registration",
)  # fmt: skip
"""The names; their order is part of what a seed means, so new ones go to the end."""


def stream(seed: int, name: str, *keys: int) -> np.random.Generator:
    """The generator of one purpose, for one participant, session and sequence where `keys` say so.

    Args:
        seed: The seed of the phantom.
        name: One of `STREAMS`.
        *keys: Non-negative numbers that tell draws of the same purpose apart.
    """
    return np.random.default_rng([seed, STREAMS.index(name), *keys])
