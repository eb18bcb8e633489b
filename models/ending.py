"""The last layers of somebody's network, brought to float32 linear units and what is made of them."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from models.errors import ModelError
from models.heads import LOGIT, named_output, output_head
from models.spec import ModelSpec

_PASSING = {"Reshape", "Flatten", "Dropout", "Squeeze", "GlobalAveragePooling2D", "GlobalMaxPooling2D"}
_SUMS = {"Add", "Subtract"}
_NAMED = {"Sigmoid": "sigmoid", "Softmax": "softmax"}


def network_output(output: keras.KerasTensor, spec: ModelSpec, source: str) -> keras.KerasTensor:
    """Probabilities or values of a patch from whatever a network ends in.

    Args:
        output: For a single target a feature map (batch, h, w, channels) or features (batch, n > 2), which
            get our head; one unit (batch, 1), linear or under a sigmoid; two units (batch, 2) under a
            softmax, the second the positive class. For several targets a unit each (batch, outputs), linear
            or under sigmoids.
        spec: The head, its dropout, the number of outputs and the task.
        source: Where the network comes from, for problems.

    Returns:
        Float32 (batch, outputs), after the linear units of the layer `LOGIT`: their sigmoid, or in regression
        these units themselves.

    Raises:
        ModelError: The network ends in something else, in units of its own where a head is asked for, or in
            regression in units without a linear one before them.
    """
    shape, several = output.shape, spec.outputs > 1
    if several and tuple(shape[1:]) != (spec.outputs,):
        raise ModelError(
            f"{source}: multi-label heads need an architecture with K outputs: the model must return "
            f"(batch, {spec.outputs}), linear or under a sigmoid, but returns {shape}"
        )
    if several or (len(shape) == 2 and shape[1] is not None and shape[1] <= 2):
        if spec.head or spec.dropout:
            raise ModelError(
                f"{source}: the network ends in {shape[1]} unit(s) of its own and takes no head or dropout, "
                f"but got head {spec.head or ()} and dropout {spec.dropout}"
            )
        return named_output(_linear_units(output, spec, source), spec.task)
    if len(shape) == 2 and shape[1] is not None:
        return _headed(layers.Reshape((1, 1, shape[1]), name="features")(output), spec)
    if len(shape) == 4 and shape[3] is not None:
        return _headed(output, spec)
    raise ModelError(
        f"{source}: the model must return a feature map (batch, h, w, channels), features (batch, n), or one "
        f"unit (batch, 1), but returns {shape}"
    )


def _headed(features: keras.KerasTensor, spec: ModelSpec) -> keras.KerasTensor:
    return output_head(features, spec.head or (), spec.dropout, task=spec.task)


def _linear_units(output: keras.KerasTensor, spec: ModelSpec, source: str) -> keras.KerasTensor:
    """Log-odds, or the values of a regression, (batch, outputs)."""
    activation, units = activation_of(output), output.shape[1]
    is_softmax = units > spec.outputs
    _check_activation(output, activation, is_softmax, source)
    before = _before(output, activation, spec.outputs)
    if spec.task == "regression":
        _check_linear(before, output, source)
    if before is None:
        before = _inverse(output, is_softmax)
    elif is_softmax:
        before = before[:, 1:] - before[:, :1]
    if before._keras_history.operation.name == LOGIT:
        return before
    return layers.Activation("linear", dtype="float32", name=LOGIT)(before)


def _check_activation(
    output: keras.KerasTensor, activation: str | None, is_softmax: bool, source: str
) -> None:
    if activation in (("softmax",) if is_softmax else ("linear", "sigmoid")):
        return
    units = output.shape[1]
    law = (
        "two units must be under a softmax"
        if is_softmax
        else f"{'one unit' if units == 1 else f'{units} units'} must be linear (log-odds) or under a sigmoid"
    )
    raise ModelError(
        f"{source}: {law}, but {'it comes' if units == 1 else 'they come'} from {_origin(output)} "
        f"with {activation or 'an activation that cannot be told'}"
    )


def _check_linear(before: keras.KerasTensor | None, output: keras.KerasTensor, source: str) -> None:
    """Refuse a regression whose values could not be any number.

    Turning a probability back would bound them, as would an activation under the sigmoid.
    """
    found = "one that is out of reach"
    if before is not None:
        is_normalised = isinstance(before._keras_history.operation, layers.BatchNormalization)
        found = "linear" if is_normalised else activation_of(before) or "one that cannot be told"
    if found != "linear":
        raise ModelError(
            f"{source}: regression reads the linear unit before the sigmoid or softmax, but before "
            f"{_origin(output)} comes {found}: return a linear unit, or a feature map"
        )


def activation_of(output: keras.KerasTensor) -> str | None:
    """The activation that a tensor has last gone through, poolings and reshapes aside; None if unknown."""
    operation = output._keras_history.operation
    kind = type(operation)
    if isinstance(operation, keras.Model):
        return activation_of(operation.outputs[0])
    if isinstance(operation, layers.Layer) and hasattr(operation, "activation"):
        return str(keras.activations.serialize(operation.activation))
    if not kind.__module__.startswith("keras."):
        return None
    if kind.__name__ in _NAMED:
        return _NAMED[kind.__name__]
    if kind.__name__ in _PASSING:
        return activation_of(operation.input)
    if kind.__name__ in _SUMS:
        inputs = keras.tree.flatten(operation.input)
        return "linear" if all(activation_of(each) == "linear" for each in inputs) else None
    return None


def _before(output: keras.KerasTensor, activation: str | None, outputs: int) -> keras.KerasTensor | None:
    """What the last activation was applied to, in float32 from a dense layer; None if out of reach."""
    operation = output._keras_history.operation
    if _is_plain_dense(operation):
        return _without_activation(operation, outputs)
    if activation == "linear":
        return output
    if type(operation) is not layers.Activation and type(operation).__name__ not in _NAMED:
        return None
    dense = operation.input._keras_history.operation
    if _is_plain_dense(dense) and dense.activation is keras.activations.linear:
        return _without_activation(dense, outputs)
    return operation.input


def _is_plain_dense(operation: Any) -> bool:
    return type(operation) is layers.Dense and len(operation._inbound_nodes) == 1  # used once


def _without_activation(dense: keras.layers.Dense, outputs: int) -> keras.KerasTensor:
    name = LOGIT if dense.units == outputs else f"{LOGIT}s"
    config: dict[str, Any] = {"activation": "linear", "dtype": "float32", "name": name}
    linear = layers.Dense.from_config(dense.get_config() | config)
    before = linear(dense.input)
    linear.set_weights(dense.get_weights())
    return before


def _inverse(output: keras.KerasTensor, is_softmax: bool) -> keras.KerasTensor:
    """Log-odds from probabilities (batch, outputs), or from those of two classes (batch, 2)."""
    shares = keras.ops.clip(keras.ops.cast(output, "float32"), keras.config.epsilon(), 1.0)
    if is_softmax:
        return keras.ops.log(shares[:, 1:]) - keras.ops.log(shares[:, :1])
    return keras.ops.log(shares) - keras.ops.log(keras.ops.clip(1.0 - shares, keras.config.epsilon(), 1.0))


def _origin(output: keras.KerasTensor) -> str:
    operation = output._keras_history.operation
    return f"'{operation.name}' ({type(operation).__name__})"
