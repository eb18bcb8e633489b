"""Somebody's Keras model, taken apart into its layers and made anew as one functional model."""

from __future__ import annotations

import inspect
import re
from typing import Any

import keras
from keras import layers

from models.errors import ModelError
from models.user_code import blamed, said

Shape = tuple[int, int, int]

_OURS = re.compile(
    r"patch|logits?|probability|value|average|features|dense\d+|dropout\d+"
)  # names of our own layers


def flat_network(network: Any, input_shape: Shape, source: str) -> keras.Model:
    """A copy of a network as one functional model of plain layers, its weights included.

    Nested models are opened, and the code of `Lambda` layers becomes operations of `keras.ops`, so that it is
    saved without Python code. A subclassed model is followed through its `call`.

    Args:
        network: What the user's code returned.
        input_shape: Patch (height, width, channels).
        source: Where it comes from, for problems.

    Returns:
        A model from one input "patch" (batch, height, width, channels) to one output. Layers that have the
        name of one of ours end in "_own".

    Raises:
        ModelError: It is no model from one patch to one output, or cannot be copied and saved; in one line.
    """
    if not isinstance(network, keras.Model):
        raise ModelError(f"{source}: a keras.Model must be returned, but got {type(network).__name__}")
    with blamed(source):
        followed = _functional(network, input_shape, source)
        _check_ends(followed, input_shape, source)
        plain = keras.Model(followed.inputs[0], followed.outputs[0])  # not in lists or dictionaries
        copied = _copied(_opened(plain, input_shape), input_shape, source)
    _check_weights(network, copied, source)
    return copied


def _functional(network: keras.Model, input_shape: Shape, source: str) -> keras.Model:
    """The same layers as a functional model, built if need be."""
    if isinstance(network, keras.Sequential):
        if not network.built:
            network(keras.Input(input_shape))
        return keras.Model(network.inputs, network.outputs)
    if getattr(network, "inputs", None):
        return network
    network(keras.Input(input_shape))  # builds it, or says why not
    name = type(network).__name__
    try:
        return _followed(network, input_shape, source)
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(
            f"{source}: {name}.call must be of Keras layers and keras.ops alone, so that the network can be "
            f"saved, but raises {said(error)}"
        ) from error


def _followed(network: keras.Model, input_shape: Shape, source: str) -> keras.Model:
    if "training" not in inspect.signature(network.call).parameters:
        return _traced(network, input_shape)
    trained = _traced(network, input_shape, training=True)
    traced = _traced(network, input_shape, training=False)
    if [type(each) for each in trained.operations] != [type(each) for each in traced.operations]:
        raise ModelError(
            f"{source}: {type(network).__name__}.call must take the same layers in training and in "
            f"inference: leave the difference to layers such as Dropout"
        )
    return traced


def _traced(network: keras.Model, input_shape: Shape, **kwargs: bool) -> keras.Model:
    patch = keras.Input(input_shape)
    return keras.Model(patch, network.call(patch, **kwargs))


def _check_ends(network: keras.Model, input_shape: Shape, source: str) -> None:
    for what, ends in (("input", network.inputs), ("output", network.outputs)):
        if len(ends) != 1:
            raise ModelError(f"{source}: a model of one {what} must be returned, but it has {len(ends)}")
    batch, *shape = network.inputs[0].shape
    fits = len(shape) == 3 and all(a in (None, b) for a, b in zip(shape, input_shape, strict=True))
    if not fits or batch is not None:
        raise ModelError(
            f"{source}: the model must take any number of patches of {input_shape}, but takes "
            f"{network.inputs[0].shape}"
        )


def _opened(network: keras.Model, input_shape: Shape) -> keras.Model:
    """The same layers without nested models and Lambdas; nested ones stay where names would clash."""
    while any(_is_opened(operation) for operation in network.operations):
        names = [
            layer.name
            for outer in network.layers
            for layer in (outer.layers if isinstance(outer, keras.Model) else [outer])
            if not isinstance(layer, layers.InputLayer)
        ]
        if len(names) != len(set(names)):
            break
        network = keras.models.clone_model(
            network, keras.Input(input_shape), lambda operation: operation, _called
        )
    return network


def _is_opened(operation: Any) -> bool:
    return isinstance(operation, keras.Model | layers.Lambda)


def _called(operation: Any, *args: Any, **kwargs: Any) -> Any:
    if isinstance(operation, layers.Lambda):
        return operation.function(*args, **operation.arguments)
    if isinstance(operation, keras.Model):
        return operation.call(*args)
    return operation(*args, **kwargs)


def _copied(network: keras.Model, input_shape: Shape, source: str) -> keras.Model:
    copies: dict[int, Any] = {}

    def copy(operation: Any) -> Any:
        if id(operation) not in copies:
            copies[id(operation)] = _copy(operation, source)
        return copies[id(operation)]

    copied = keras.models.clone_model(network, keras.Input(input_shape, name="patch"), copy)
    for operation in network.operations:
        if isinstance(operation, layers.Layer) and operation.weights:
            copies[id(operation)].set_weights(operation.get_weights())
    return copied


def _copy(operation: Any, source: str) -> Any:
    """A new layer or operation of the same settings."""
    kind = type(operation)
    try:
        config = operation.get_config()
        if _OURS.fullmatch(operation.name):
            config["name"] = f"{operation.name}_own"
        return kind.from_config(config)
    except Exception as error:
        raise ModelError(
            f"{source}: layer '{operation.name}' of class {kind.__name__} cannot be copied and saved; give "
            f"the class a get_config ({said(error)})"
        ) from error


def _check_weights(network: keras.Model, copied: keras.Model, source: str) -> None:
    own, kept = network.count_params(), copied.count_params()
    if own != kept:
        raise ModelError(
            f"{source}: all weights must belong to layers between the patch and the output, but of {own} "
            f"only {kept} do"
        )
