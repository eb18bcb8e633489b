from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import pytest

from models.samples import Samples
from models.spec import CustomSpec, ModelSpec, OptimizerSpec

NETWORKS = """
import keras
from keras import layers


def normed(shape, width=8):
    patch = keras.Input(shape)
    x = patch
    for _ in range(3):
        x = layers.Conv2D(width, 3, padding="same", strides=2, use_bias=False)(x)
        x = layers.Activation("relu")(layers.BatchNormalization()(x))
    return keras.Model(patch, x)


def random(shape, rate=0.3):
    patch = keras.Input(shape)
    x = layers.RandomFlip()(layers.GaussianNoise(0.1)(patch))
    x = layers.SeparableConv2D(6, 3, activation="relu")(x)
    x = layers.Dropout(rate)(layers.Flatten()(x))
    return keras.Model(patch, layers.Dense(1)(x))
"""


@pytest.fixture(scope="session")
def custom(tmp_path_factory):
    """From a name in `NETWORKS` to the spec of that custom network, on patches of a side."""
    path = tmp_path_factory.mktemp("custom") / "networks.py"
    path.write_text(NETWORKS)

    def named(name: str, side: int, **params: float) -> ModelSpec:
        custom = CustomSpec("function", f"{path}:{name}", tuple(sorted(params.items())))
        return ModelSpec(name, (side, side, 2), custom=custom)

    return named


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
