"""From a frozen spec to a Keras model."""

from __future__ import annotations

import re
from importlib import import_module

import keras

from models.errors import NotBuildable
from models.heads import probability_head
from models.registry import architecture, check
from models.seeding import initialise
from models.spec import ModelSpec

_ESCAPE = re.compile(r"\x1b\[\d*m")  # Keras prints its errors in bold


def build_model(spec: ModelSpec, seed: int = 0) -> keras.Model:
    """Build a network with its head.

    Args:
        spec: What to build.
        seed: Decides the initial weights; the same seed gives the same weights on the same device.

    Returns:
        A model from patches (batch, h, w, channels) to probabilities (batch, 1), made of stock Keras layers,
        so that it is saved and loaded without this package.

    Raises:
        ModelError: No architecture has that name.
        NotBuildable: The network does not take patches of this size.
    """
    spec = check(spec)
    model = _assemble(spec, spec.input_shape)
    initialise(model, seed)
    return model


def open_model(spec: ModelSpec) -> keras.Model:
    """The same network for patches of any size, (batch, any, any, channels); its weights are not seeded yet.

    Raises:
        ModelError: No architecture has that name.
        NotBuildable: The network does not take patches of the spec's own size.
    """
    spec = check(spec)
    return _assemble(spec, (None, None, spec.input_shape[2]))


def _assemble(spec: ModelSpec, shape: tuple[int | None, int | None, int]) -> keras.Model:
    module, _, function = architecture(spec.architecture).build.partition(":")
    patch = keras.Input(shape, name="patch")
    try:
        features = getattr(import_module(module), function)(patch)
    except ValueError as error:
        reason = " ".join(_ESCAPE.sub("", str(error)).split())
        raise NotBuildable(f"architecture '{spec.architecture}' on {spec.input_shape}: {reason}") from error
    return keras.Model(patch, probability_head(features, spec.head or ()), name=spec.architecture)
