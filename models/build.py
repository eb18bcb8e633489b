"""From a frozen spec to a Keras model."""

from __future__ import annotations

import re
from importlib import import_module

import keras

from models.custom import custom_model
from models.errors import NotBuildable
from models.heads import output_head
from models.registry import architecture, check
from models.seeding import initialise
from models.spec import ModelSpec
from models.stems import behind_stem
from models.transfer import freeze, transfer

_ESCAPE = re.compile(r"\x1b\[\d*m")  # Keras prints its errors in bold


def build_model(spec: ModelSpec, seed: int = 0) -> keras.Model:
    """Build a network with its head.

    Args:
        spec: What to build.
        seed: Decides the weights that are drawn; the same seed gives the same weights on the same device.

    Returns:
        A model from patches (batch, h, w, channels) to probabilities, or in regression values,
        (batch, outputs). Those of the registry are made of stock Keras layers, so that they are saved and
        loaded without this package.

    Raises:
        ModelError: No architecture has that name, or there are no such weights to transfer.
        NotBuildable: The network does not take patches of this size.
    """
    spec = check(spec)
    model = _assemble(spec, spec.input_shape)
    initialise(model, seed, None if spec.custom is None else lambda: custom_model(spec))
    transfer(model, spec)
    return model


def open_model(spec: ModelSpec) -> keras.Model:
    """The same network for patches of any size, (batch, any, any, channels), without its weights yet.

    A custom network stays at the size of the spec, as it may depend on it.

    Raises:
        ModelError: No architecture has that name.
        NotBuildable: The network does not take patches of the spec's own size.
    """
    spec = check(spec)
    return _assemble(spec, (None, None, spec.input_shape[2]))


def _assemble(spec: ModelSpec, shape: tuple[int | None, int | None, int]) -> keras.Model:
    if spec.custom is not None:
        return custom_model(spec)
    patch = keras.Input(shape, name="patch")
    try:
        features = _features(spec, patch)
    except ValueError as error:
        reason = " ".join(_ESCAPE.sub("", str(error)).split())
        raise NotBuildable(f"architecture '{spec.architecture}' on {spec.input_shape}: {reason}") from error
    output = output_head(features, spec.head or (), spec.dropout, spec.outputs, spec.task)
    model = keras.Model(patch, output, name=spec.architecture)
    if spec.transfer is not None:
        freeze(model, spec.transfer.trainable_stages)
    return model


def _features(spec: ModelSpec, patch: keras.KerasTensor) -> keras.KerasTensor:
    module, _, function = architecture(spec.architecture).build.partition(":")
    return behind_stem(getattr(import_module(module), function), patch, spec.stem, spec.resize_to)
