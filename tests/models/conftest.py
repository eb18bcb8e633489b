from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import pytest

from models.samples import Samples
from models.spec import ModelSpec, OptimizerSpec


@pytest.fixture
def spec() -> ModelSpec:
    return ModelSpec("small_cnn", (5, 5, 2))


@pytest.fixture
def adam() -> OptimizerSpec:
    return OptimizerSpec("adam", 1e-2)


@pytest.fixture
def easy() -> Samples:
    return _two_levels(40, seed=1)


@pytest.fixture
def more() -> Samples:
    return _two_levels(24, seed=2)


def _two_levels(n: int, seed: int) -> Samples:
    """Noise patches; those with label 1 are brighter in their first channel."""
    rng = np.random.default_rng(seed)
    y = (np.arange(n) % 2).astype(np.float32)
    x = rng.normal(size=(n, 5, 5, 2)).astype(np.float32)
    x[..., 0] += y[:, None, None]
    return Samples(x, y)
